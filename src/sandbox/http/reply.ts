import type { FastifyReply, FastifyRequest } from 'fastify'
import { Socket } from 'node:net'
import type { SandboxResponse } from '../gateway/answer.ts'
import type { Fault } from '../admin/faults.ts'
import { fingerprint, parseListPosition } from '../gateway/stats.ts'
import type { ListPosition } from '../gateway/stats.ts'
import type { SandboxState } from '../state.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** A fault that applies after the work is done. */
    fault: Fault | undefined
  }
}

/** Maximum characters of a path in the log. */
const MAX_LOGGED_PATH = 300

/** Logs the call and sends the response, with its fault applied. */
export function sendResponse(
  request: FastifyRequest,
  reply: FastifyReply,
  state: SandboxState,
  label: string,
  response: SandboxResponse
): FastifyReply {
  recordCall(request, state, label, response.status)
  const text = Buffer.from(
    typeof response.body === 'string' ? response.body : JSON.stringify(response.body)
  )
  reply.code(response.status).headers({
    'Content-Type': 'application/json;charset=UTF-8',
    'Cache-Control': 'no-cache, no-store, no-transform',
    ...response.headers
  })
  if (request.fault?.kind === 'delay-after') return sendDelayed(request, reply, text)
  if (request.fault?.kind === 'drop-after') return dropConnection(request, reply)
  if (request.fault?.kind === 'truncate') return sendTruncated(request, reply, state, text)
  return reply.send(text)
}

/** Does the work and delays the response. The timer does not keep the process alive. */
function sendDelayed(request: FastifyRequest, reply: FastifyReply, text: Buffer): FastifyReply {
  setTimeout(() => {
    if (!reply.raw.destroyed) reply.send(text)
  }, request.fault?.delay_ms ?? 0).unref()
  return reply
}

/**
 * Sets Date to sandbox time: clients derive their clock offset from it (RFC 9110 sections 5.6.7
 * and 6.6.1).
 */
export function setDateHeader(reply: FastifyReply, state: SandboxState) {
  if (!reply.hasHeader('date')) reply.header('date', new Date(state.now()).toUTCString())
}

/** Closes the connection without a response. */
export function dropConnection(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  reply.hijack()
  closeSocket(request, reply)
  return reply
}

/** A call by `inject` has no connection; its response is destroyed instead. */
export function closeSocket({ raw: { socket } }: FastifyRequest, { raw }: FastifyReply) {
  if (socket instanceof Socket) socket.destroy()
  else raw.destroy(new Error('socket hang up'))
}

/** Announces the whole body in Content-Length, sends half of it and closes the connection. */
function sendTruncated(
  request: FastifyRequest,
  reply: FastifyReply,
  state: SandboxState,
  body: Buffer
): FastifyReply {
  setDateHeader(reply, state)
  reply.hijack()
  reply.raw.writeHead(reply.statusCode, {
    ...(reply.getHeaders() as Record<string, string>),
    'content-length': String(body.length)
  })
  reply.raw.write(body.subarray(0, Math.floor(body.length / 2)), () => closeSocket(request, reply))
  return reply
}

/**
 * Counts and logs a call: its path without the query, which may hold a code, and its position in
 * a list.
 */
export function recordCall(
  request: FastifyRequest,
  state: SandboxState,
  label: string,
  status: number
) {
  state.stats.recordCall(label, {
    at: state.now(),
    method: request.method,
    path: request.pathBelowPrefix.slice(0, MAX_LOGGED_PATH),
    status,
    token: fingerprint(readBearerToken(request)),
    ...readListPosition(request)
  })
}

/** Reads the list position of a call from its query, or from the body of a search by POST. */
function readListPosition(request: FastifyRequest): ListPosition {
  const isSearch = request.method === 'POST' && request.pathBelowPrefix.endsWith('/search/jql')
  if (!isSearch && !request.url.includes('?')) return {}
  return parseListPosition(
    isSearch ? readJsonBody(request) : Object.fromEntries(readQueryParams(request))
  )
}

export function readBearerToken(request: FastifyRequest): string | undefined {
  return /^Bearer\s+(\S+)\s*$/i.exec(request.headers.authorization ?? '')?.[1]
}

export function readQueryParams(request: FastifyRequest): URLSearchParams {
  const at = request.url.indexOf('?')
  return new URLSearchParams(at < 0 ? '' : request.url.slice(at + 1))
}

/** The base URL of the sandbox as the caller reaches it: scheme, host and prefix. */
export function readBaseUrl(request: FastifyRequest): string {
  const [path = ''] = request.url.split('?')
  return `${request.protocol}://${request.host}${path.slice(0, path.length - request.pathBelowPrefix.length)}`
}

/** @returns undefined for an empty body, null for a body that is not JSON */
export function readJsonBody(request: FastifyRequest): unknown {
  const text = Buffer.isBuffer(request.body) ? request.body.toString() : ''
  if (text === '') return undefined
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

export function readFormBody(request: FastifyRequest): URLSearchParams {
  return new URLSearchParams(Buffer.isBuffer(request.body) ? request.body.toString() : '')
}

export function readContentType(request: FastifyRequest): string {
  const [type = ''] = (request.headers['content-type'] ?? '').split(';')
  return type.trim().toLowerCase()
}
