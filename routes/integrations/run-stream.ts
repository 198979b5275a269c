import { hash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { UNDER_WAY, type Run } from '../../src/store/repositories/sync-runs.ts'
import { view } from './run-view.ts'

const LOOK_MS = 200
/** A run that works has something to say every second, */
const WORKING_SILENCE_MS = 700
/** and one that waits has not, but proxies close what is silent for long. */
const WAITING_SILENCE_MS = 10_000
/** A key that is revoked, or a token that is over, is good for no more than this and one look. */
const ASK_AGAIN_MS = 2_000
/** Whoever still reads comes back with the last event's id. */
export const LONGEST_STREAM_MS = 3_600_000

/**
 * A run as server-sent events (WHATWG HTML, section 9.2). It is read from the database, so it does not matter which process works
 * at it; an event's id says what it told, so that whoever comes back is not told it again.
 *
 * @param read the run as it is now
 * @param lastEventId the id of the last event that the reader has
 * @param isOver whether nobody reads any more, or the service is stopping: a stream that is closed only ends where it has something to say
 * @param mayRead whether the reader would still be let in
 */
export async function* events(
  run: Run,
  read: () => Promise<Run | undefined>,
  lastEventId: string | undefined,
  isOver: () => boolean,
  mayRead: () => Promise<boolean>
): AsyncGenerator<string> {
  const until = performance.now() + LONGEST_STREAM_MS
  let told = lastEventId
  let toldAt = performance.now()
  let askedAt = toldAt
  yield 'retry: 1000\n\n'
  for (let current: Run | undefined = run; current !== undefined; current = await read()) {
    if (performance.now() - askedAt > ASK_AGAIN_MS) {
      if (!(await mayRead())) return
      askedAt = performance.now()
    }
    const { id, data } = eventOf(current)
    const ended = hasEnded(current)
    const silence = performance.now() - toldAt
    const news =
      id !== told
        ? `id: ${id}\nevent: ${ended ? 'end' : 'progress'}\ndata: ${data}\n\n`
        : current.state === 'running' && silence > WORKING_SILENCE_MS
          ? `event: progress\ndata: ${data}\n\n`
          : silence > WAITING_SILENCE_MS
            ? ': still waiting\n\n'
            : undefined
    if (news !== undefined) {
      yield news
      told = id
      toldAt = performance.now()
    }
    if (ended || isOver() || performance.now() > until) return
    await sleep(LOOK_MS)
  }
}

/** Whether a reader with this last event has been told all there will ever be. */
export function isTold(run: Run, lastEventId: string | undefined): boolean {
  return hasEnded(run) && eventOf(run).id === lastEventId
}

function eventOf(run: Run): { id: string; data: string } {
  const data = JSON.stringify(view(run))
  return { id: `${run.id}.${hash('sha1', data, 'base64url')}`, data }
}

function hasEnded({ state }: Run): boolean {
  return !UNDER_WAY.includes(state)
}
