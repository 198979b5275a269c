import type { ChainLink, SharedChain, Statement, TransactionScript } from '../engine.ts'
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
  /** Whether statements of other such units may run between its own. */
  isIndependent: boolean
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
  runStatement: (query: RunQuery, statement: Statement) => Promise<unknown>
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
  const { pool, runScript, runStatement, limitWriters } = options
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
    while (outcomes.length < units.length) {
      if (outcomes.length > 0 && performance.now() > endsAt) break
      try {
        if (hasSavepoints) {
          outcomes.push(await runInSavepoint(query, units, outcomes.length, link))
        } else outcomes.push(...(await runTogether(query, units.slice(outcomes.length), link)))
      } catch (error) {
        if (!hasSavepoints && !isConnectionError(error)) onFailedUnit()
        throw error
      }
    }
    await Promise.all(
      chain.close(link.state).map(async (statement) => await runStatement(query, statement))
    )
    return outcomes.length
  }

  /** Runs the first unit, or all first ones that are independent: their statements need not wait. */
  async function runTogether(
    query: RunQuery,
    units: readonly Unit[],
    link: ChainLink<unknown>
  ): Promise<Outcome[]> {
    const end = units.findIndex(({ isIndependent }) => !isIndependent)
    const settled = await Promise.allSettled(
      units
        .slice(0, end === -1 ? units.length : Math.max(end, 1))
        .map(async ({ script }) => await runScript(query, script(link)))
    )
    return settled.map((result) => {
      if (result.status === 'rejected') throw result.reason
      return { result: result.value }
    })
  }

  async function runInSavepoint(
    query: RunQuery,
    units: readonly Unit[],
    index: number,
    link: ChainLink<unknown>
  ): Promise<Outcome> {
    await query({ text: `${index > 0 ? 'release unit; ' : ''}savepoint unit` })
    const { state } = link
    try {
      return { result: await runScript(query, (units[index] as Unit).script(link)) }
    } catch (error) {
      if (isConnectionError(error)) throw error
      await query({ text: 'rollback to savepoint unit' })
      link.state = state
      return { failure: { error } }
    }
  }

  return {
    /**
     * Runs a script in the next shared transaction.
     *
     * @param deadline when it gives up waiting, on the clock of `performance.now()`
     * @param isIndependent whether statements of other such scripts may run between its own
     * @returns what the script returned, once it is committed
     */
    async run<T, S>(
      chain: SharedChain<S>,
      script: (link: ChainLink<S>) => TransactionScript<T>,
      deadline: number,
      isIndependent = false
    ): Promise<T> {
      return await new Promise<T>((resolve, reject) => {
        queue.push({
          chain: chain as unknown as SharedChain<unknown>,
          script: script as Unit['script'],
          isIndependent,
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
