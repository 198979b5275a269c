import { Readable } from 'node:stream'
import { AppError } from '../lib/errors.ts'
import type { Logger } from '../lib/http-client.ts'

/** A revoked key or an expired token ends the stream after this interval. */
const AUTHORIZATION_CHECK_INTERVAL_MS = 2_000

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
  return Readable.from(logTruncation(pieces, options), { highWaterMark: 1 })
}

async function* logTruncation(
  pieces: AsyncGenerator<string>,
  { isStopping, isAuthorized, log, abortedEvent, abortedMessage }: JsonStreamOptions
): AsyncGenerator<string> {
  let lastCheckedAt = performance.now()
  try {
    for await (const piece of pieces) {
      if (isStopping()) {
        throw new AppError('interrupted', 'The service is stopping.', { suppressLog: true })
      }
      if (performance.now() - lastCheckedAt > AUTHORIZATION_CHECK_INTERVAL_MS) {
        if (!(await isAuthorized())) {
          throw new AppError('unauthenticated', 'The credential is no longer valid.')
        }
        lastCheckedAt = performance.now()
      }
      yield piece
    }
  } catch (err) {
    // The response has started and cannot report an error.
    log.error({ event: abortedEvent, err }, abortedMessage)
    throw err
  }
}
