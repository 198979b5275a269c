import { randomUUID } from 'node:crypto'
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { SECURITY_HEADERS } from './security-headers.ts'
import { AppError } from '../lib/errors.ts'

const ERRORS_BY_NODE_CODE: Record<string, () => AppError> = {
  HPE_HEADER_OVERFLOW: () =>
    new AppError(
      'request_header_fields_too_large',
      'The request header is larger than this service accepts.'
    ),
  ERR_HTTP_REQUEST_TIMEOUT: () =>
    new AppError('request_timeout', 'The request did not arrive in time.')
}

const SERIALIZED_HEADERS = Object.entries(SECURITY_HEADERS)
  .map(([name, value]) => `${name}: ${value}\r\n`)
  .join('')

/** How long a client may take to read why it was refused. */
const CLOSE_DELAY_MS = 1_000

/**
 * Answers what is not HTTP at all, before there is a request: a problem document and a request id as everywhere else,
 * and the connection is closed, because nobody can tell where the next request would begin.
 */
export function clientErrorHandler(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return
  // In the middle of an answer, another one would become part of it. Node's own handler looks at the same field.
  const isResponding =
    (socket as Socket & { _httpMessage?: { headersSent: boolean } | null })._httpMessage
      ?.headersSent === true
  if (isResponding || !socket.writable) {
    socket.destroy()
    return
  }
  const { status, code, message } = (
    ERRORS_BY_NODE_CODE[error.code ?? ''] ??
    (() => new AppError('bad_request', 'This is not a valid HTTP request.'))
  )()
  const requestId = randomUUID()
  const body = JSON.stringify({
    type: 'about:blank',
    title: STATUS_CODES[status],
    status,
    detail: message,
    code,
    request_id: requestId
  })
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/problem+json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nX-Request-ID: ${requestId}\r\n${SERIALIZED_HEADERS}Connection: close\r\n\r\n${body}`
  )
  setTimeout(() => socket.destroy(), CLOSE_DELAY_MS).unref()
}
