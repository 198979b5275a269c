import { randomInt } from 'node:crypto'
import type { Engine, Statement } from '../engine.ts'

/** The row whose value is the epoch of every change feed; no row: epoch 0. */
export const FEED_EPOCH = 'feed_epoch'
/** The row that health checks write. */
const WRITE_PROBE = 'write_probe'
/** `randomInt` takes a range of at most 2^48 − 1. */
const MAX_EPOCH = 2 ** 48 - 1

/** The number of a new epoch, which no other epoch has. */
export function createFeedEpoch(): number {
  return randomInt(1, MAX_EPOCH)
}

/** Single numbers about the whole database. */
export function createServiceStateRepository({
  db,
  tables: { serviceState },
  write,
  nowPlus
}: Engine) {
  return {
    /** Writes one row, to prove that the database can be written. */
    async writeProbe(): Promise<void> {
      await write(() =>
        db
          .insert(serviceState)
          .values({ name: WRITE_PROBE, value: nowPlus(0) })
          .onConflictDoUpdate({ target: serviceState.name, set: { value: nowPlus(0) } })
      )
    },

    /**
     * Starts a new epoch: every cursor of a change feed that was issued before has expired.
     *
     * @param value random by default, because two restores of one backup must not start the same
     *   epoch
     */
    feedEpochStatement(value = createFeedEpoch()): Statement {
      return db
        .insert(serviceState)
        .values({ name: FEED_EPOCH, value })
        .onConflictDoUpdate({ target: serviceState.name, set: { value } })
    }
  }
}
