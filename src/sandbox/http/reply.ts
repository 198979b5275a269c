import type { FastifyReply, FastifyRequest } from 'fastify'
import { Socket } from 'node:net'
import type { Answer } from '../gateway/answer.ts'
import type { Fault } from '../admin/faults.ts'
import { fingerprint, readPlace } from '../gateway/stats.ts'
import type { Place } from '../gateway/stats.ts'
import type { World } from '../state.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Trouble that waits until the work is done. */
    fault: Fault | undefined
  }
}

/** Characters of a path that the log keeps. */
const LONGEST_LOGGED = 300

/** Notes the call and sends the answer, or what a fault leaves of it. */
export function respond(
  request: FastifyRequest,
  reply: FastifyReply,
  world: World,
  label: string,
  answer: Answer
): FastifyReply {
  note(request, world, label, answer.status)
  const text = Buffer.from(
    typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body)
  )
  reply.code(answer.status).headers({
    'Content-Type': 'application/json;charset=UTF-8',
    'Cache-Control': 'no-cache, no-store, no-transform',
    ...answer.headers
  })
  if (request.fault?.kind === 'delay-after') return later(request, reply, text)
  if (request.fault?.kind === 'drop-after') return drop(request, reply)
  if (request.fault?.kind === 'truncate') return truncate(request, reply, world, text)
  return reply.send(text)
}

/** The work is done, and nobody hears of it for a while. The timer keeps no process alive. */
function later(request: FastifyRequest, reply: FastifyReply, text: Buffer): FastifyReply {
  setTimeout(() => {
    if (!reply.raw.destroyed) reply.send(text)
  }, request.fault?.delay_ms ?? 0).unref()
  return reply
}

/** Says when the answer went out, in world time: clients measure by it how far their clock is off (RFC 9110 5.6.7, 6.6.1). */
export function stamp(reply: FastifyReply, world: World) {
  if (!reply.hasHeader('date')) reply.header('date', new Date(world.now()).toUTCString())
}

/** Closes the connection without a word. */
export function drop(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  reply.hijack()
  sever(request, reply)
  return reply
}

/** A call that came by `inject` has no connection, only an answer that can fail. */
export function sever({ raw: { socket } }: FastifyRequest, { raw }: FastifyReply) {
  if (socket instanceof Socket) socket.destroy()
  else raw.destroy(new Error('socket hang up'))
}

/** Promises the whole body, sends half of it and closes. */
export function truncate(
  request: FastifyRequest,
  reply: FastifyReply,
  world: World,
  body: Buffer
): FastifyReply {
  stamp(reply, world)
  reply.hijack()
  reply.raw.writeHead(reply.statusCode, {
    ...(reply.getHeaders() as Record<string, string>),
    'content-length': String(body.length)
  })
  reply.raw.write(body.subarray(0, Math.floor(body.length / 2)), () => sever(request, reply))
  return reply
}

/** Counts the call and keeps it in the log: the path without its query, which may hold a code, but with its place in a list. */
export function note(request: FastifyRequest, world: World, label: string, status: number) {
  world.stats.call(label, {
    at: world.now(),
    method: request.method,
    path: request.below.slice(0, LONGEST_LOGGED),
    status,
    token: fingerprint(bearer(request)),
    ...placeOf(request)
  })
}

/** Where in a list a call reads on: it is in the query, and for a search by POST in the body. */
function placeOf(request: FastifyRequest): Place {
  const searches = request.method === 'POST' && request.below.endsWith('/search/jql')
  if (!searches && !request.url.includes('?')) return {}
  return readPlace(searches ? jsonOf(request) : Object.fromEntries(queryOf(request)))
}

export function bearer(request: FastifyRequest): string | undefined {
  return /^Bearer\s+(\S+)\s*$/i.exec(request.headers.authorization ?? '')?.[1]
}

export function queryOf(request: FastifyRequest): URLSearchParams {
  const at = request.url.indexOf('?')
  return new URLSearchParams(at < 0 ? '' : request.url.slice(at + 1))
}

/** Where the sandbox is mounted, as the caller reaches it: scheme, host and prefix. */
export function root(request: FastifyRequest): string {
  const [path] = request.url.split('?')
  return `${request.protocol}://${request.host}${path.slice(0, path.length - request.below.length)}`
}

/** @returns undefined for no body, `null` for one that is no JSON */
export function jsonOf(request: FastifyRequest): unknown {
  const text = Buffer.isBuffer(request.body) ? request.body.toString() : ''
  if (text === '') return undefined
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

export function formOf(request: FastifyRequest): URLSearchParams {
  return new URLSearchParams(Buffer.isBuffer(request.body) ? request.body.toString() : '')
}

export function contentType(request: FastifyRequest): string {
  return (request.headers['content-type'] ?? '').split(';')[0].trim().toLowerCase()
}
