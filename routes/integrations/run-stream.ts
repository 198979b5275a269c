import { hash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { ACTIVE_STATES, type SyncRun } from '../../src/store/repositories/sync-runs.ts'
import { toRunResponse } from './run-view.ts'

const POLL_INTERVAL_MS = 200
/** A run that works has something to say every second, */
const RUNNING_HEARTBEAT_INTERVAL_MS = 700
/** and one that waits has not, but proxies close what is silent for long. */
const WAITING_HEARTBEAT_INTERVAL_MS = 10_000
/** A key that is revoked, or a token that is over, is good for no more than this and one look. */
const AUTHORIZATION_CHECK_INTERVAL_MS = 2_000
/** Whoever still reads comes back with the last event's id. */
export const MAX_STREAM_DURATION_MS = 3_600_000

/**
 * A run as server-sent events (WHATWG HTML, section 9.2). It is read from the database, so it does not matter which process works
 * at it; an event's id says what it told, so that whoever comes back is not told it again.
 *
 * @param readRun the run as it is now
 * @param lastEventId the id of the last event that the reader has
 * @param shouldStop whether nobody reads any more, or the service is stopping: a stream that is closed only ends where it has something to say
 * @param isAuthorized whether the reader would still be let in
 */
export async function* streamRunEvents(
  run: SyncRun,
  readRun: () => Promise<SyncRun | undefined>,
  lastEventId: string | undefined,
  shouldStop: () => boolean,
  isAuthorized: () => Promise<boolean>
): AsyncGenerator<string> {
  const deadline = performance.now() + MAX_STREAM_DURATION_MS
  let lastSentId = lastEventId
  let lastSentAt = performance.now()
  let lastCheckedAt = lastSentAt
  yield 'retry: 1000\n\n'
  for (let current: SyncRun | undefined = run; current !== undefined; current = await readRun()) {
    if (performance.now() - lastCheckedAt > AUTHORIZATION_CHECK_INTERVAL_MS) {
      if (!(await isAuthorized())) return
      lastCheckedAt = performance.now()
    }
    const { id, data } = toRunEvent(current)
    const isEnded = hasEnded(current)
    const silenceMs = performance.now() - lastSentAt
    const frame =
      id !== lastSentId
        ? `id: ${id}\nevent: ${isEnded ? 'end' : 'progress'}\ndata: ${data}\n\n`
        : current.state === 'running' && silenceMs > RUNNING_HEARTBEAT_INTERVAL_MS
          ? `event: progress\ndata: ${data}\n\n`
          : silenceMs > WAITING_HEARTBEAT_INTERVAL_MS
            ? ': still waiting\n\n'
            : undefined
    if (frame !== undefined) {
      yield frame
      lastSentId = id
      lastSentAt = performance.now()
    }
    if (isEnded || shouldStop() || performance.now() > deadline) return
    await sleep(POLL_INTERVAL_MS)
  }
}

/** Whether a reader with this last event has been told all there will ever be. */
export function isCaughtUp(run: SyncRun, lastEventId: string | undefined): boolean {
  return hasEnded(run) && toRunEvent(run).id === lastEventId
}

function toRunEvent(run: SyncRun): { id: string; data: string } {
  const data = JSON.stringify(toRunResponse(run))
  return { id: `${run.id}.${hash('sha1', data, 'base64url')}`, data }
}

function hasEnded({ state }: SyncRun): boolean {
  return !ACTIVE_STATES.includes(state)
}
