import { hash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createAuthorizationCheck } from '../../src/http/authorization-check.ts'
import { ACTIVE_STATES, type SyncRun } from '../../src/store/repositories/sync-runs.ts'
import { toRunResponse } from './run-view.ts'

const POLL_INTERVAL_MS = 200
/** A running run sends an event at least every second. */
const RUNNING_HEARTBEAT_INTERVAL_MS = 700
/** A waiting run sends comments, because proxies close idle connections. */
const WAITING_HEARTBEAT_INTERVAL_MS = 10_000
/** Clients reconnect with the id of the last event. */
export const MAX_STREAM_DURATION_MS = 3_600_000

/**
 * Streams a run as server-sent events (WHATWG HTML, section 9.2). Polls the database, so the run
 * may execute in any process. The id of an event is a hash of its data, so a client that
 * reconnects does not get the same event again.
 *
 * @param readRun returns the current run
 * @param lastEventId id of the last event that the client has
 * @param shouldStop whether the client has disconnected or the service is stopping
 * @param isAuthorized whether the caller is still authorized
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
  const isStillAuthorized = createAuthorizationCheck(isAuthorized)
  yield 'retry: 1000\n\n'
  for (let current: SyncRun | undefined = run; current !== undefined; current = await readRun()) {
    if (!(await isStillAuthorized())) return
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

/** Whether a client with this last event has everything. */
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
