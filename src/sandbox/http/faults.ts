import type { FastifyReply, FastifyRequest } from 'fastify'
import { setTimeout as sleep } from 'node:timers/promises'
import { Readable } from 'node:stream'
import type { Fault, FaultKind } from '../admin/faults.ts'
import type { SandboxState } from '../state.ts'
import { dropConnection, recordCall, closeSocket } from './reply.ts'

type FaultAction = (request: FastifyRequest, reply: FastifyReply, fault: Fault) => unknown

export interface FaultInjector {
  /** Injects a matching fault before the work is done; never for the admin API. */
  injectFault: (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>
  /** Sends nothing until the client gives up or a minute has passed. */
  hangUntilClosed: (request: FastifyRequest, reply: FastifyReply) => FastifyReply
  /** Ends every `hang`, so that the server can close. */
  releaseHanging: () => Promise<void>
}

const MAX_HANG_MS = 60_000
const DEFAULT_HUGE_BYTES = 64 * 1024 * 1024
const CHUNK = `"${'x'.repeat(65_533)}",`
const ERROR_PAGE =
  '<!doctype html><html lang="en"><head><title>502 Bad Gateway</title></head>' +
  '<body><h1>502 Bad Gateway</h1></body></html>'

/**
 * Faults that replace the work, in addition to `hang`. The other kinds only delay the work, or
 * apply after it.
 */
const FAULT_ACTIONS: Partial<Record<FaultKind, FaultAction>> = {
  'drop-before': (request, reply) => dropConnection(request, reply),
  status: (_request, reply, { status = 503, body = '', headers = {} }) =>
    sendPlain(reply.code(status).headers(headers), body),
  html: (_request, reply, { status = 502, body = ERROR_PAGE, headers = {} }) =>
    reply
      .code(status)
      .headers({ 'content-type': 'text/html;charset=utf-8', ...headers })
      .send(String(body)),
  garbage: (
    _request,
    reply,
    { status = 200, body = '{"values": [}\u0000 not JSON', headers = {} }
  ) => sendPlain(reply.code(status).headers(headers), String(body)),
  redirect: (_request, reply, { status = 302, headers = {} }) =>
    reply
      .code(status)
      .headers({ location: 'https://example.invalid/elsewhere', ...headers })
      .send(''),
  huge: (_request, reply, { status = 200, bytes = DEFAULT_HUGE_BYTES, headers = {} }) =>
    sendPlain(reply.code(status).headers(headers), Readable.from(generateChunks(bytes)))
}

/** Creates the hooks that inject faults and release hanging responses. */
export function createFaultInjector(state: SandboxState): FaultInjector {
  const hangingRequests = new Set<() => void>()

  async function injectFault(request: FastifyRequest, reply: FastifyReply) {
    if (/^\/admin(\/|$)/.test(request.pathBelowPrefix)) return
    const fault = state.faults.take(request.method, request.pathBelowPrefix)
    request.fault = fault
    if (fault === undefined) return
    if (fault.kind === 'hang') return hangUntilClosed(request, reply, fault.delay_ms)
    if (fault.delay_ms !== undefined && fault.kind !== 'delay-after') {
      await sleep(fault.delay_ms, undefined, { ref: false })
    }
    const action = FAULT_ACTIONS[fault.kind]
    if (action === undefined) return
    recordCall(request, state, `fault ${fault.kind}`, fault.status ?? 0)
    action(request, reply, fault)
    return reply
  }

  /**
   * Sends nothing until the client disconnects or a minute has passed. The timer does not keep
   * the process alive.
   */
  function hangUntilClosed(request: FastifyRequest, reply: FastifyReply, ms = MAX_HANG_MS) {
    recordCall(request, state, 'fault hang', 0)
    reply.hijack()
    const close = () => closeSocket(request, reply)
    const timer = setTimeout(close, Math.min(ms, MAX_HANG_MS)).unref()
    hangingRequests.add(close)
    reply.raw.once('close', () => {
      clearTimeout(timer)
      hangingRequests.delete(close)
    })
    return reply
  }

  return {
    injectFault,
    hangUntilClosed,
    releaseHanging: async () => {
      for (const close of hangingRequests) close()
    }
  }
}

function sendPlain(reply: FastifyReply, body: unknown): FastifyReply {
  if (!reply.hasHeader('content-type')) {
    reply.header('content-type', 'application/json;charset=UTF-8')
  }
  return reply.send(
    typeof body === 'string' || body instanceof Readable ? body : JSON.stringify(body)
  )
}

/** Generates a JSON list of at least `bytes` bytes. */
function* generateChunks(bytes: number) {
  yield '['
  for (let sent = 0; sent < bytes; sent += CHUNK.length) yield CHUNK
  yield '""]'
}
