import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Readable } from 'node:stream'
import type { Fault, FaultKind } from '../../src/sandbox/faults.ts'
import type { World } from '../../src/sandbox/world.ts'
import { drop, note } from './reply.ts'

type Act = (request: FastifyRequest, reply: FastifyReply, fault: Fault) => unknown

/** Connections that are kept waiting; whoever stops the server lets them go. */
const waiting = new Set<Socket>()

const LONGEST_HANG_MS = 60_000
const HUGE_BYTES = 64 * 1024 * 1024
const CHUNK = `"${'x'.repeat(65_533)}",`
const ERROR_PAGE = '<!doctype html><html lang="en"><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>'

/** What happens instead of the work. Kinds that are not here happen after it. */
const INSTEAD: Partial<Record<FaultKind, Act>> = {
  'drop-before': (request, reply) => drop(request, reply),
  hang: (request, reply, { delay_ms: ms = LONGEST_HANG_MS }) => hang(request, reply, Math.min(ms, LONGEST_HANG_MS)),
  status: (_request, reply, { status = 503, body = '', headers = {} }) => plain(reply.code(status).headers(headers), body),
  html: (_request, reply, { status = 502, body = ERROR_PAGE, headers = {} }) => reply.code(status).headers({ 'content-type': 'text/html;charset=utf-8', ...headers }).send(String(body)),
  garbage: (_request, reply, { status = 200, body = '{"values": [}\u0000 not JSON', headers = {} }) => plain(reply.code(status).headers(headers), String(body)),
  redirect: (_request, reply, { status = 302, headers = {} }) => reply.code(status).headers({ location: 'https://example.invalid/elsewhere', ...headers }).send(''),
  huge: (_request, reply, { status = 200, bytes = HUGE_BYTES, headers = {} }) => plain(reply.code(status).headers(headers), Readable.from(flood(bytes)))
}

/** Looks for a fault before the work is done; the admin API is spared. */
export function rehearse (world: World) {
  return async function (request: FastifyRequest, reply: FastifyReply) {
    if (/^\/admin(\/|$)/.test(request.below)) return
    const fault = world.faults.take(request.method, request.below)
    request.fault = fault
    if (fault === undefined) return
    if (fault.delay_ms !== undefined && fault.kind !== 'hang') await sleep(fault.delay_ms, undefined, { ref: false })
    const act = INSTEAD[fault.kind]
    if (act === undefined) return
    note(request, world, `fault ${fault.kind}`, fault.status ?? 0)
    await act(request, reply, fault)
    return reply
  }
}

/** Says nothing until the client gives up, or a minute has gone. The timer keeps no process alive. */
function hang (request: FastifyRequest, reply: FastifyReply, ms: number) {
  reply.hijack()
  const { socket } = request.raw
  const timer = setTimeout(() => socket.destroy(), ms).unref()
  waiting.add(socket)
  socket.once('close', () => {
    clearTimeout(timer)
    waiting.delete(socket)
  })
}

/** Ends every `hang`, so that a server can close. */
export async function letGo () {
  for (const socket of waiting) socket.destroy()
}

function plain (reply: FastifyReply, body: unknown): FastifyReply {
  if (!reply.hasHeader('content-type')) reply.header('content-type', 'application/json;charset=UTF-8')
  return reply.send(typeof body === 'string' || body instanceof Readable ? body : JSON.stringify(body))
}

/** A JSON list that goes on for as long as it is told. */
function * flood (bytes: number) {
  yield '['
  for (let sent = 0; sent < bytes; sent += CHUNK.length) yield CHUNK
  yield '""]'
}
