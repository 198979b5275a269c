import { Readable } from 'node:stream'
import { AppError } from '../lib/errors.ts'
import { waitForTurn } from '../lib/event-loop-turns.ts'
import type { Logger } from '../lib/http-client.ts'
import { AUTHORIZATION_CHECK_INTERVAL_MS } from './authorization-check.ts'
import { sliceText } from './slice-text.ts'

export interface JsonStreamOptions {
  /** Whether the service can wait no longer for the end of the document. Clients retry. */
  isStopping: () => boolean
  /** Whether the caller is still authorized. */
  isAuthorized: () => Promise<boolean>
  log: Logger
  /** The log line for a document that ends early. */
  abortedEvent: string
  abortedMessage: string
}

/** Short pieces are sent together and long ones in parts: each write costs a system call and a copy. */
const MIN_CHUNK_LENGTH = 32 * 1024
const MAX_CHUNK_LENGTH = 64 * 1024
/** After this time others have their turn: reading and sending may never wait for anything. */
const MAX_TURN_MS = 2

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
    let turnStartedAt = -Infinity
    for await (const chunk of formChunks(pieces)) {
      if (isStopping()) {
        throw new AppError('interrupted', 'The service is stopping.', { suppressLog: true })
      }
      yield chunk
      if (performance.now() - turnStartedAt > MAX_TURN_MS) {
        await waitForTurn()
        turnStartedAt = performance.now()
      }
    }
  } catch (err) {
    // The response has started and cannot report an error.
    log.error({ event: abortedEvent, err }, abortedMessage)
    throw err
  }
}

/** The first piece is sent at once. */
async function* formChunks(pieces: AsyncGenerator<string>): AsyncGenerator<string> {
  let pending = ''
  let isStarted = false
  for await (const piece of pieces) {
    pending += piece
    if (isStarted && pending.length < MIN_CHUNK_LENGTH) continue
    yield* sliceText(pending, MAX_CHUNK_LENGTH)
    pending = ''
    isStarted = true
  }
  if (pending !== '') yield pending
}
