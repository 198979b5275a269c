import { randomUUID } from 'node:crypto'
import { createIntervalJob, type IntervalJob } from './lib/interval.ts'
import type { Store } from './store/index.ts'

const LEASE_MS = 6_000
const RENEW_MS = 2_000

/** A thing that lives in one instance at a time and that all have to find. */
export interface Seat extends IntervalJob {
  /** Where it is: the address of another instance, or undefined where it is here. */
  whereElse: () => Promise<string | undefined>
}

/**
 * Keeps one thing in one of the instances: whoever takes its lease has it and says under which address; when that instance ends,
 * another one takes it.
 *
 * @param address of this instance, as the others reach it; undefined while it does not listen
 */
export function createSeat({
  store: { batch, leases },
  name,
  address
}: {
  store: Pick<Store, 'batch' | 'leases'>
  name: string
  address: () => string | undefined
}): Seat {
  const id = randomUUID()
  let elsewhere: string | undefined

  async function look(): Promise<void> {
    const own = address()
    if (own === undefined) return
    const me = `${own}#${id}`
    const [taken] = await batch((tx) => [leases.acquireStatement(tx, name, me, LEASE_MS, me)])
    const holder = taken?.length === 1 ? undefined : (await leases.findHolder(name))?.owner
    elsewhere =
      holder === undefined || holder === me ? undefined : holder.slice(0, holder.indexOf('#'))
  }

  // What is known stays known while the database does not answer.
  const ticker = createIntervalJob(async () => {
    await look().catch(() => {})
  }, RENEW_MS)
  let begun: Promise<void> | undefined
  return {
    ...ticker,
    async whereElse() {
      begun ??= ticker.runNow()
      await begun
      return elsewhere
    }
  }
}
