import { setTimeout as sleep } from 'node:timers/promises'
import type { Store } from '../store/index.ts'
import type { Run, Tally } from '../store/repositories/sync-runs.ts'
import { ended } from './context.ts'

/** How often a worker looks whether its run is still its own, and says that it is still there. */
const WATCH_MS = 500
const RENEW_MS = 5_000

type Runs = Store['runs']

/** Ends the work on a run that was ended or taken elsewhere, and keeps its lease where a page takes long. @returns what ends the watching */
export function watch(runs: Runs, run: Run, stopping: AbortController): () => void {
  const look = setInterval(() => {
    runs.isMine(run).then(
      (mine) => {
        if (!mine) stopping.abort(ended())
      },
      () => {}
    )
  }, WATCH_MS).unref()
  const renew = setInterval(() => {
    runs.renew(run).catch(() => {})
  }, RENEW_MS).unref()
  return () => {
    clearInterval(look)
    clearInterval(renew)
  }
}

/** Puts a run aside as soon as the database can be written. Until then it keeps its place here; nothing else could be written either. */
export async function putAsideLater(
  runs: Runs,
  run: Run,
  tally: Tally,
  isOver: () => boolean
): Promise<void> {
  while (!isOver()) {
    try {
      await runs.putAside(run, tally, null)
      return
    } catch {
      await sleep(WATCH_MS)
    }
  }
}
