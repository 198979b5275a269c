import type { KeyAvailability } from '../instances/heartbeat.ts'
import type { Store } from '../store/index.ts'
import type { SyncRun } from '../store/repositories/sync-runs.ts'

/** How long a run keeps its slot at least while others wait. */
const TURN_MS = 10_000
/** Runs considered when choosing the next one. */
const MAX_CANDIDATES = 100

/**
 * Shares a process's slots, and with them Atlassian's points, among people: a large copy goes on in
 * turns while others wait.
 *
 * @param listActive the runs of this process
 * @param slots the number of runs that may be active
 * @param keys the vault keys that this instance lacks
 */
export function createTurns(
  runs: Pick<Store['runs'], 'listClaimable'>,
  listActive: () => SyncRun[],
  slots: number,
  keys: KeyAvailability
) {
  const listClaimable = async () =>
    keys.lacksCurrentKey() ? [] : await runs.listClaimable(MAX_CANDIDATES, keys.getMissingKeyIds())

  return {
    /**
     * The id of the run to claim next: of the owner with the fewest active runs, then the one that
     * has waited longest.
     */
    async findNext(): Promise<number | undefined> {
      const active = listActive()
      const countActive = (owner: number) =>
        active.filter(({ ownerId }) => ownerId === owner).length
      const [next] = (await listClaimable())
        .filter(({ id }) => !active.some((run) => run.id === id))
        .sort((a, b) => countActive(a.ownerId) - countActive(b.ownerId))
      return next?.id
    },

    /**
     * Whether a run has had its turn, and somebody without an active run waits for one.
     *
     * @param startedAt when it got its slot, as `performance.now()`
     */
    async isOver(startedAt: number): Promise<boolean> {
      if (performance.now() - startedAt < TURN_MS || listActive().length < slots) return false
      const owners = new Set(listActive().map(({ ownerId }) => ownerId))
      const waiting = await listClaimable()
      return waiting.some(({ ownerId }) => !owners.has(ownerId))
    }
  }
}
