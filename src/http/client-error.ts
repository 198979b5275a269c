import { randomUUID } from 'node:crypto'
import { STATUS_CODES } from './status-codes.ts'
import type { Socket } from 'node:net'
import { AppError } from '../lib/errors.ts'
import { getHttpStatus, toProblem } from './problem.ts'
import { SECURITY_HEADERS } from './security-headers.ts'

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

/** Time for the client to read the response before the socket is destroyed. */
const CLOSE_DELAY_MS = 1_000

/**
 * Responds to input that Node cannot parse as HTTP: a problem document with a request id, like
 * any other error. Closes the connection, because the start of the next request is unknown.
 */
export function clientErrorHandler(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return
  // A second response would become part of one that has started. Node's own handler checks the same field.
  const isResponding =
    (socket as Socket & { _httpMessage?: { headersSent: boolean } | null })._httpMessage
      ?.headersSent === true
  if (isResponding || !socket.writable) {
    socket.destroy()
    return
  }
  const appError =
    ERRORS_BY_NODE_CODE[error.code ?? '']?.() ??
    new AppError('bad_request', 'The request is not valid HTTP.')
  const status = getHttpStatus(appError)
  const requestId = randomUUID()
  const body = JSON.stringify(toProblem(appError, requestId))
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Content-Type: application/problem+json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Request-ID: ${requestId}`
  ].join('\r\n')
  socket.end(`${head}\r\n${SERIALIZED_HEADERS}Connection: close\r\n\r\n${body}`)
  setTimeout(() => socket.destroy(), CLOSE_DELAY_MS).unref()
}
