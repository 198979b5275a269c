import type { FastifyReply, FastifyRequest } from 'fastify'
import { setTimeout as sleep } from 'node:timers/promises'
import { Readable } from 'node:stream'
import type { Fault, FaultKind } from '../admin/faults.ts'
import type { World } from '../state.ts'
import { drop, note, sever } from './reply.ts'

type Act = (request: FastifyRequest, reply: FastifyReply, fault: Fault) => unknown

export interface Rehearsal {
  /** Looks for a fault before the work is done; the admin API is spared. */
  rehearse: (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>
  /** Ends every `hang`, so that a server can close. */
  letGo: () => Promise<void>
}

const LONGEST_HANG_MS = 60_000
const HUGE_BYTES = 64 * 1024 * 1024
const CHUNK = `"${'x'.repeat(65_533)}",`
const ERROR_PAGE =
  '<!doctype html><html lang="en"><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>'

/** What happens instead of the work. `hang` does too; the other kinds happen after it, or only delay it. */
const INSTEAD: Partial<Record<FaultKind, Act>> = {
  'drop-before': (request, reply) => drop(request, reply),
  status: (_request, reply, { status = 503, body = '', headers = {} }) =>
    plain(reply.code(status).headers(headers), body),
  html: (_request, reply, { status = 502, body = ERROR_PAGE, headers = {} }) =>
    reply
      .code(status)
      .headers({ 'content-type': 'text/html;charset=utf-8', ...headers })
      .send(String(body)),
  garbage: (
    _request,
    reply,
    { status = 200, body = '{"values": [}\u0000 not JSON', headers = {} }
  ) => plain(reply.code(status).headers(headers), String(body)),
  redirect: (_request, reply, { status = 302, headers = {} }) =>
    reply
      .code(status)
      .headers({ location: 'https://example.invalid/elsewhere', ...headers })
      .send(''),
  huge: (_request, reply, { status = 200, bytes = HUGE_BYTES, headers = {} }) =>
    plain(reply.code(status).headers(headers), Readable.from(flood(bytes)))
}

/** The hooks that make faults happen, and undo what still hangs. */
export function createRehearsal(world: World): Rehearsal {
  const waiting = new Set<() => void>()

  async function rehearse(request: FastifyRequest, reply: FastifyReply) {
    if (/^\/admin(\/|$)/.test(request.below)) return
    const fault = world.faults.take(request.method, request.below)
    request.fault = fault
    if (fault === undefined) return
    if (fault.kind === 'hang') return hang(request, reply, fault)
    if (fault.delay_ms !== undefined && fault.kind !== 'delay-after') {
      await sleep(fault.delay_ms, undefined, { ref: false })
    }
    const act = INSTEAD[fault.kind]
    if (act === undefined) return
    note(request, world, `fault ${fault.kind}`, fault.status ?? 0)
    act(request, reply, fault)
    return reply
  }

  /** Says nothing until the client gives up, or a minute has gone. The timer keeps no process alive. */
  function hang(
    request: FastifyRequest,
    reply: FastifyReply,
    { delay_ms: ms = LONGEST_HANG_MS }: Fault
  ) {
    note(request, world, 'fault hang', 0)
    reply.hijack()
    const end = () => sever(request, reply)
    const timer = setTimeout(end, Math.min(ms, LONGEST_HANG_MS)).unref()
    waiting.add(end)
    reply.raw.once('close', () => {
      clearTimeout(timer)
      waiting.delete(end)
    })
    return reply
  }

  return {
    rehearse,
    letGo: async () => {
      for (const end of waiting) end()
    }
  }
}

function plain(reply: FastifyReply, body: unknown): FastifyReply {
  if (!reply.hasHeader('content-type')) {
    reply.header('content-type', 'application/json;charset=UTF-8')
  }
  return reply.send(
    typeof body === 'string' || body instanceof Readable ? body : JSON.stringify(body)
  )
}

/** A JSON list that goes on for as long as it is told. */
function* flood(bytes: number) {
  yield '['
  for (let sent = 0; sent < bytes; sent += CHUNK.length) yield CHUNK
  yield '""]'
}
