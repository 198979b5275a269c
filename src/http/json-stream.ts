import { Readable } from 'node:stream'
import { AppError } from '../lib/errors.ts'
import type { Logger } from '../lib/http-client.ts'
import { AUTHORIZATION_CHECK_INTERVAL_MS } from './authorization-check.ts'

export interface JsonStreamOptions {
  /** Whether the service is stopping: it does not wait for long documents, and clients retry. */
  isStopping: () => boolean
  /** Whether the caller is still authorized. */
  isAuthorized: () => Promise<boolean>
  log: Logger
  /** The log line for a document that ends early. */
  abortedEvent: string
  abortedMessage: string
}

/**
 * A response that is sent piece by piece, as fast as the client reads: one piece at most waits in
 * memory. If reading fails the connection is closed, and what was sent so far is not valid JSON.
 * A client that leaves ends the reading.
 */
export function createJsonStream(
  pieces: AsyncGenerator<string>,
  options: JsonStreamOptions
): Readable {
  const stream = Readable.from(logTruncation(pieces, options), { highWaterMark: 1 })
  // Not between two pieces: a client that stops reading would keep the stream open.
  const timer = setInterval(() => {
    options.isAuthorized().then((isAuthorized) => {
      if (isAuthorized) return
      stream.destroy(new AppError('unauthenticated', 'The credential is no longer valid.'))
    }, stream.destroy.bind(stream))
  }, AUTHORIZATION_CHECK_INTERVAL_MS).unref()
  return stream.once('close', () => {
    clearInterval(timer)
  })
}

async function* logTruncation(
  pieces: AsyncGenerator<string>,
  { isStopping, log, abortedEvent, abortedMessage }: JsonStreamOptions
): AsyncGenerator<string> {
  try {
    for await (const piece of pieces) {
      if (isStopping()) {
        throw new AppError('interrupted', 'The service is stopping.', { suppressLog: true })
      }
      yield piece
    }
  } catch (err) {
    // The response has started and cannot report an error.
    log.error({ event: abortedEvent, err }, abortedMessage)
    throw err
  }
}
