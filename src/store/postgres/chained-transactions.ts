import type { ChainLink, SharedChain, TransactionScript } from '../engine.ts'
import { createBusyError } from '../prepared.ts'
import { isConnectionError, type Pool, type RunQuery } from './pool.ts'

/** Units of one shared transaction, which holds the rows that they write until its commit. */
const MAX_UNITS = 32
/**
 * A shared transaction takes no further unit after this time: those that are done wait for its commit,
 * and so does whoever needs the rows that they wrote.
 */
const MAX_DURATION_MS = 100

/** A transaction that waits for its turn to append to a chain. */
interface Unit {
  chain: SharedChain<unknown>
  script: (link: ChainLink<unknown>) => TransactionScript<unknown>
  /** When it gives up waiting, on the clock of `performance.now()`. */
  deadline: number
  resolve: (result: never) => void
  reject: (error: unknown) => void
}

/** How a unit ended, to be told once the shared transaction is committed. */
interface Outcome {
  result?: unknown
  failure?: { error: unknown }
}

export interface ChainedTransactionOptions {
  pool: Pool
  runScript: <T>(query: RunQuery, script: TransactionScript<T>) => Promise<T>
  /** Waits for one of the connections that writers may use. */
  limitWriters: (work: () => Promise<void>) => Promise<void>
}

/**
 * Runs transactions that append to a chain. While one transaction runs, further ones wait; then
 * those that wait run in one transaction, which takes the lock of the chain once and commits once.
 * If one of them fails, they run again, each as a unit with its own savepoint, so that one that fails
 * is undone alone.
 */
export function createChainedTransactions(options: ChainedTransactionOptions) {
  const { pool, runScript, limitWriters } = options
  const queue: Unit[] = []
  let work: Promise<void> | undefined

  async function runQueue(): Promise<void> {
    while (queue.length > 0) await limitWriters(runSharedTransaction)
    work = undefined
  }

  async function runSharedTransaction(): Promise<void> {
    const [first] = queue
    if (first === undefined) return
    const { chain } = first
    const end = queue.slice(0, MAX_UNITS).findIndex((unit) => unit.chain !== chain)
    // Those that waited too long do not wait for the lock as well.
    const units = rejectOverdue(queue.splice(0, end === -1 ? MAX_UNITS : end))
    if (units.length === 0) return
    const outcomes: Outcome[] = []
    let takenCount = units.length
    let hasFailedUnit = false
    const runTransaction = async (hasSavepoints: boolean) =>
      await pool
        .transaction(
          async (query) => {
            takenCount = await runUnits(query, units, outcomes, hasSavepoints, () => {
              hasFailedUnit = true
            })
          },
          'repeatable read',
          // LOCK TABLE takes no snapshot, so the transaction's snapshot is taken after the lock is
          // granted.
          `lock table "${chain.lockTable}" in exclusive mode`
        )
        .then(
          () => undefined,
          (error: unknown) => ({ error })
        )
    // Hardly any unit fails, and savepoints would be a statement more for each.
    let failure = await runTransaction(false)
    if (hasFailedUnit && units.length > 1) {
      outcomes.length = 0
      failure = await runTransaction(true)
    }
    queue.unshift(...units.slice(takenCount))
    for (const [i, unit] of units.slice(0, takenCount).entries()) {
      settle(unit, outcomes[i]?.failure ?? failure, outcomes[i])
    }
  }

  /**
   * Adds how each unit ended. Throws if nothing can be committed.
   *
   * @param hasSavepoints whether a unit that fails is undone alone; otherwise all are
   * @param onFailedUnit called if all are undone because of one
   * @returns how many units were run; the others have to wait for the next transaction
   */
  async function runUnits(
    query: RunQuery,
    units: readonly Unit[],
    outcomes: Outcome[],
    hasSavepoints: boolean,
    onFailedUnit: () => void
  ): Promise<number> {
    const [{ chain }] = units as [Unit]
    const link: ChainLink<unknown> = { state: await runScript(query, chain.open()) }
    const endsAt = performance.now() + MAX_DURATION_MS
    for (const { script } of units) {
      if (outcomes.length > 0 && performance.now() > endsAt) break
      if (hasSavepoints) {
        await query({ text: `${outcomes.length > 0 ? 'release unit; ' : ''}savepoint unit` })
      }
      const { state } = link
      try {
        outcomes.push({ result: await runScript(query, script(link)) })
      } catch (error) {
        if (isConnectionError(error)) throw error
        if (!hasSavepoints) {
          onFailedUnit()
          throw error
        }
        await query({ text: 'rollback to savepoint unit' })
        link.state = state
        outcomes.push({ failure: { error } })
      }
    }
    await runScript(query, chain.close(link.state))
    return outcomes.length
  }

  return {
    /**
     * Runs a script in the next shared transaction.
     *
     * @param deadline when it gives up waiting, on the clock of `performance.now()`
     * @returns what the script returned, once it is committed
     */
    async run<T, S>(
      chain: SharedChain<S>,
      script: (link: ChainLink<S>) => TransactionScript<T>,
      deadline: number
    ): Promise<T> {
      return await new Promise<T>((resolve, reject) => {
        queue.push({
          chain: chain as unknown as SharedChain<unknown>,
          script: script as Unit['script'],
          deadline,
          resolve,
          reject
        })
        work ??= runQueue()
      })
    },

    /** Waits until every unit has been answered. */
    async settle(): Promise<void> {
      await work
    }
  }
}

/** @returns the units that go on waiting */
function rejectOverdue(units: readonly Unit[]): Unit[] {
  const time = performance.now()
  return units.filter(({ deadline, reject }) => {
    if (time <= deadline) return true
    reject(createBusyError(undefined))
    return false
  })
}

function settle(
  unit: Unit,
  failure: { error: unknown } | undefined,
  outcome: Outcome | undefined
): void {
  if (failure === undefined) unit.resolve(outcome?.result as never)
  else unit.reject(failure.error)
}
