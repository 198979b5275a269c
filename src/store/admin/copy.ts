import { number } from '../../cli/terminal.ts'
import { StartError } from '../../lib/errors.ts'
import type { Cell, Connection } from './raw-database.ts'
import type { Progress } from '../../cli/progress.ts'
import { batches, createDigest, isSame, keyOf, type Digest } from './row-digest.ts'
import type { Table } from './table-order.ts'

/** What a copy came to. `before` rows were there already, from one that was interrupted. */
export interface Copied {
  rows: number
  before: number
  copyMs: number
  compareMs: number
}

/**
 * Copies every row and compares both sides afterwards.
 *
 * An interrupted copy goes on by itself: a table's rows in the target are the beginning of those in the source, or are deleted and
 * copied anew. That is looked at and not remembered, so it holds whatever has become of either side in between.
 *
 * @param source of this version, read as of one moment
 * @param target of this version, with nothing in it but what such a copy has left
 * @throws StartError naming the tables that are not equal afterwards
 */
export async function copyAll(
  source: Connection,
  target: Connection,
  progress: Progress
): Promise<Copied> {
  const digests = new Map<Table, Digest>()
  let before = 0
  const beganAt = performance.now()
  for (const table of target.tables) {
    const { digest, kept } = await copyTable(source, target, table, progress)
    digests.set(table, digest)
    before += kept
  }
  const copiedAt = performance.now()
  progress.end('Comparing')
  const different: string[] = []
  for (const [table, digest] of digests) {
    const arrived = await digestOf(target, table, {
      onBatch: (rows) => {
        progress.step(`comparing ${table.name}`, rows)
      }
    })
    if (!isSame(digest, arrived)) different.push(difference(table, digest, arrived))
  }
  if (different.length > 0) {
    throw new StartError(
      [
        ...different,
        'The copy is not good: do not use it. The same command again copies these tables anew.'
      ],
      1
    )
  }
  const rows = [...digests.values()].reduce((sum, digest) => sum + digest.rows(), 0)
  return { rows, before, copyMs: copiedAt - beganAt, compareMs: performance.now() - copiedAt }
}

/** Whether every table of both is the same: a copy that is done already. Looks no further than the first that is not. */
export async function isWhole(source: Connection, target: Connection): Promise<boolean> {
  for (const table of source.tables) {
    const [one, other] = [await digestOf(source, table), await digestOf(target, table)]
    if (!isSame(one, other)) return false
  }
  return true
}

/** @returns the digest of the source's rows, and how many of them the target had before */
async function copyTable(
  source: Connection,
  target: Connection,
  table: Table,
  progress: Progress
): Promise<{ digest: Digest; kept: number }> {
  const { digest, after } = await resumed(source, target, table, progress)
  const kept = digest.rows()
  let writing = Promise.resolve()
  for await (const rows of batches(source, table, { after })) {
    digest.add(rows)
    // While one batch is written the next is read.
    await writing
    writing = target.insert(table, rows)
    writing.catch(() => {})
    progress.step(`copying ${table.name}`, rows.length)
  }
  await writing
  if (table.counter !== undefined) {
    await target.countFrom(table, await highest(source, table, table.counter))
  }
  progress.end(
    `${table.name}: ${number(digest.rows() - kept)} copied${kept > 0 ? `, ${number(kept)} were there` : ''}`
  )
  return { digest, kept }
}

/** Where a table's copy goes on. Rows that are not how the source's begin are deleted, with all that refers to them. */
async function resumed(
  source: Connection,
  target: Connection,
  table: Table,
  progress: Progress
): Promise<{ digest: Digest; after?: Cell[] | undefined }> {
  let after: Cell[] | undefined
  const there = await digestOf(target, table, {
    onBatch: (_, key) => {
      after = key
    }
  })
  if (there.rows() === 0) return { digest: createDigest() }
  const first = await digestOf(source, table, {
    atMost: there.rows(),
    onBatch: (rows) => {
      progress.step(`looking at ${table.name}`, rows)
    }
  })
  if (isSame(there, first)) return { digest: first, after }
  progress.say(
    `${table.name}: the source has changed since it was copied, or the copy has; it is copied anew.`
  )
  progress.step(table.name, -first.rows())
  await target.ask(`delete from "${table.name}"`)
  return { digest: createDigest() }
}

async function digestOf(
  from: Connection,
  table: Table,
  {
    atMost = Infinity,
    onBatch = () => {}
  }: { atMost?: number; onBatch?: (rows: number, key: Cell[]) => void } = {}
): Promise<Digest> {
  const digest = createDigest()
  for await (const rows of batches(from, table, { atMost })) {
    digest.add(rows)
    onBatch(rows.length, keyOf(table, rows.at(-1) ?? []))
  }
  return digest
}

/** The highest id that was ever given: it is not to be given again, even where its row is gone. */
async function highest(source: Connection, table: Table, counter: string): Promise<number> {
  const [[there] = []] = await source.ask(`select max("${counter}") from "${table.name}"`)
  return Math.max(Number(there ?? 0), await source.counted(table))
}

function difference({ name }: Table, source: Digest, target: Digest): string {
  return source.rows() === target.rows()
    ? `${name}: as many rows in the copy as in the source, but not the same.`
    : `${name}: ${number(source.rows())} rows in the source and ${number(target.rows())} in the copy.`
}
