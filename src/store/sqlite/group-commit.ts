import type Driver from 'better-sqlite3'
import type { ChainLink, SharedChain, Statement, TransactionScript } from '../engine.ts'
import { createBusyError } from '../prepared.ts'

/**
 * A batch ends after this time, and the rest waits for the next turn: only one long unit holds the
 * event loop for longer.
 */
const MAX_BATCH_MS = 5

/** A write that is stored as a whole or not at all. It runs without waiting for anything. */
interface WriteUnit {
  run: (link: ChainLink<unknown>) => unknown
  /** The chain that it appends to. */
  chain: SharedChain<unknown> | undefined
  /** When it stops waiting for a lock, on the clock of `performance.now()`. */
  deadline: number
  resolve: (result: never) => void
  reject: (error: unknown) => void
}

/** How a unit ended, to be told once its batch is committed. */
interface Outcome {
  unit: WriteUnit
  result?: unknown
  failure?: { error: unknown }
}

export interface GroupCommitOptions {
  runScript: <T>(script: TransactionScript<T>) => T
  runStatement: (statement: Statement) => unknown
  /** Throws if a commit would be lost; called before and after each batch. */
  assertInPlace: () => void
  isBusy: (error: unknown) => boolean
  toAppError: (error: unknown) => unknown
  /** How long a unit waits while another process holds the write lock. */
  timeoutMs: number
  retryIntervalMs: number
}

/**
 * Runs all writes that were asked for in one turn of the event loop in one transaction: one commit,
 * one sync to the disk. Each is a unit with its own savepoint, so that one that fails is undone
 * alone, and is answered after the commit. A batch runs synchronously, so that nobody reads what is
 * not committed.
 */
export function createGroupCommit(client: Driver.Database, options: GroupCommitOptions) {
  const { runScript, runStatement, assertInPlace, isBusy, toAppError } = options
  const begin = client.prepare('begin immediate')
  const commit = client.prepare('commit')
  const rollback = client.prepare('rollback')
  const savepoint = client.prepare('savepoint unit')
  const release = client.prepare('release unit')
  const rollbackUnit = client.prepare('rollback to unit')
  const queue: WriteUnit[] = []
  let isScheduled = false
  const idleListeners: Array<() => void> = []

  function schedule(delayMs = 0): void {
    isScheduled = true
    if (delayMs === 0) setImmediate(runNextBatch)
    else setTimeout(runNextBatch, delayMs)
  }

  function runNextBatch(): void {
    isScheduled = false
    const units = takeUnits()
    const outcomes: Outcome[] = []
    let delayMs = 0
    try {
      commitUnits(units, outcomes)
      queue.unshift(...units.slice(outcomes.length))
      outcomes.forEach(settle)
    } catch (error) {
      if (isBusy(error)) {
        queue.unshift(...rejectOverdue(units, error))
        delayMs = options.retryIntervalMs
      } else {
        const failure = { error: toAppError(error) }
        units.forEach((unit, i) => {
          settle({ unit, failure: outcomes[i]?.failure ?? failure })
        })
      }
    }
    if (queue.length > 0) schedule(delayMs)
    else for (const listener of idleListeners.splice(0)) listener()
  }

  /** Takes the units that wait; of two chains, only those of the first. */
  function takeUnits(): WriteUnit[] {
    const chain = queue.find((unit) => unit.chain !== undefined)?.chain
    const end = queue.findIndex((unit) => unit.chain !== undefined && unit.chain !== chain)
    return queue.splice(0, end === -1 ? queue.length : end)
  }

  /**
   * Commits as many units as fit into a batch, and adds how each ended. Throws if nothing is
   * stored.
   */
  function commitUnits(units: readonly WriteUnit[], outcomes: Outcome[]): void {
    assertInPlace()
    begin.run()
    try {
      const endsAt = performance.now() + MAX_BATCH_MS
      const batch = createBatch(units.length > 1)
      for (const unit of units) {
        outcomes.push(batch.run(unit))
        if (performance.now() > endsAt) break
      }
      batch.closeChain()
      commit.run()
    } catch (error) {
      if (client.inTransaction) rollback.run()
      throw error
    }
    // Not acknowledged if the file was replaced meanwhile.
    assertInPlace()
  }

  function createBatch(hasSeveralUnits: boolean) {
    const link: ChainLink<unknown> = { state: undefined }
    let openChain: SharedChain<unknown> | undefined

    function runUnit({ chain, run }: WriteUnit): unknown {
      if (chain !== undefined && openChain === undefined) {
        link.state = runScript(chain.open())
        openChain = chain
      }
      return run(link)
    }

    return {
      run(unit: WriteUnit): Outcome {
        if (!hasSeveralUnits) return { unit, result: runUnit(unit) }
        savepoint.run()
        const { state } = link
        const wasOpen = openChain
        try {
          const result = runUnit(unit)
          release.run()
          return { unit, result }
        } catch (error) {
          // Some errors undo the whole transaction, and with it what the other units wrote.
          if (!client.inTransaction || isBusy(error)) throw error
          rollbackUnit.run()
          release.run()
          link.state = state
          openChain = wasOpen
          return { unit, failure: { error: toAppError(error) } }
        }
      },

      closeChain(): void {
        openChain?.close(link.state).forEach(runStatement)
      }
    }
  }

  /** @returns the units that go on waiting */
  function rejectOverdue(units: readonly WriteUnit[], error: unknown): WriteUnit[] {
    const time = performance.now()
    return units.filter((unit) => {
      if (time <= unit.deadline) return true
      unit.reject(createBusyError(error))
      return false
    })
  }

  return {
    /**
     * Runs a unit in the next batch.
     *
     * @param run may be called again if the database was busy
     * @returns what `run` returned, once it is on the disk
     */
    async commit<T, S>(run: (link: ChainLink<S>) => T, chain?: SharedChain<S>): Promise<T> {
      return await new Promise<T>((resolve, reject) => {
        queue.push({
          run: run as WriteUnit['run'],
          chain: chain as WriteUnit['chain'],
          deadline: performance.now() + options.timeoutMs,
          resolve,
          reject
        })
        if (!isScheduled) schedule()
      })
    },

    /** Calls back once every unit has been answered; at once if none waits. */
    whenIdle(listener: () => void): void {
      if (isScheduled) idleListeners.push(listener)
      else listener()
    }
  }
}

function settle({ unit, result, failure }: Outcome): void {
  if (failure === undefined) unit.resolve(result as never)
  else unit.reject(failure.error)
}
