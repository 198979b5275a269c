import { StartError } from '../../lib/errors.ts'
import { formatNumber } from '../../lib/formats.ts'
import type { CellValue, RawDatabase } from './raw-database.ts'
import {
  readBatches,
  createRowDigest,
  isSameDigest,
  pickPrimaryKey,
  type RowDigest
} from './row-digest.ts'
import type { TableShape } from './table-order.ts'

/** The result of a copy. `resumedRows` were written by an interrupted copy before it. */
export interface CopyResult {
  rows: number
  resumedRows: number
  copyMs: number
  compareMs: number
}

/** What happens during a copy. `restarted` takes back rows that were reported as checked. */
export type CopyEvent =
  | { kind: 'rows'; phase: 'checking' | 'copying' | 'comparing'; table: string; rows: number }
  | { kind: 'restarted'; table: string; rows: number }
  | { kind: 'copied'; table: string; rows: number; resumedRows: number }
  | { kind: 'comparing' }

/**
 * Copies every row, then compares both sides.
 *
 * An interrupted copy resumes without stored state: if a table's rows in the target equal the
 * first rows in the source, copying continues behind them; otherwise they are deleted and copied
 * again. This holds whatever happened to either side in between.
 *
 * @param source a database of this version, read as of one moment
 * @param target a database of this version that is empty or holds an interrupted copy
 * @throws StartError naming the tables that differ afterwards
 */
export async function copyDatabase(
  source: RawDatabase,
  target: RawDatabase,
  onEvent: (event: CopyEvent) => void
): Promise<CopyResult> {
  const digests = new Map<TableShape, RowDigest>()
  let resumedRows = 0
  const startedAt = performance.now()
  for (const table of target.tables) {
    const { digest, resumedRows: tableRows } = await copyTable(source, target, table, onEvent)
    digests.set(table, digest)
    resumedRows += tableRows
  }
  const copiedAt = performance.now()
  onEvent({ kind: 'comparing' })
  const differences: string[] = []
  for (const [table, digest] of digests) {
    const targetDigest = await computeDigest(target, table, {
      onBatch: (rows) => {
        onEvent({ kind: 'rows', phase: 'comparing', table: table.name, rows })
      }
    })
    if (!isSameDigest(digest, targetDigest)) {
      differences.push(describeDifference(table, digest, targetDigest))
    }
  }
  if (differences.length > 0) {
    throw new StartError(
      [
        ...differences,
        'The copy differs from its source: do not use it. Repeat the same command to copy these tables again.'
      ],
      1
    )
  }
  const rows = [...digests.values()].reduce((sum, digest) => sum + digest.rowCount(), 0)
  return {
    rows,
    resumedRows,
    copyMs: copiedAt - startedAt,
    compareMs: performance.now() - copiedAt
  }
}

/**
 * Whether every table is equal on both sides, so the copy is already complete. Stops at the
 * first difference.
 */
export async function isComplete(source: RawDatabase, target: RawDatabase): Promise<boolean> {
  for (const table of source.tables) {
    const [sourceDigest, targetDigest] = [
      await computeDigest(source, table),
      await computeDigest(target, table)
    ]
    if (!isSameDigest(sourceDigest, targetDigest)) return false
  }
  return true
}

/** @returns the digest of the source's rows, and how many of them the target already had */
async function copyTable(
  source: RawDatabase,
  target: RawDatabase,
  table: TableShape,
  onEvent: (event: CopyEvent) => void
): Promise<{ digest: RowDigest; resumedRows: number }> {
  const { digest, after } = await findResumePoint(source, target, table, onEvent)
  const resumedRows = digest.rowCount()
  let writing = Promise.resolve()
  for await (const rows of readBatches(source, table, { after })) {
    digest.add(rows)
    // Reads the next batch while this one is written.
    await writing
    writing = target.insertRows(table, rows)
    writing.catch(() => {})
    onEvent({ kind: 'rows', phase: 'copying', table: table.name, rows: rows.length })
  }
  await writing
  if (table.identityColumn !== undefined) {
    await target.setSequence(table, await findMaxId(source, table, table.identityColumn))
  }
  onEvent({ kind: 'copied', table: table.name, rows: digest.rowCount() - resumedRows, resumedRows })
  return { digest, resumedRows }
}

/**
 * Finds where a table's copy resumes. Deletes rows that differ from the start of the source,
 * with all rows that refer to them.
 */
async function findResumePoint(
  source: RawDatabase,
  target: RawDatabase,
  table: TableShape,
  onEvent: (event: CopyEvent) => void
): Promise<{ digest: RowDigest; after?: CellValue[] | undefined }> {
  let after: CellValue[] | undefined
  const existing = await computeDigest(target, table, {
    onBatch: (_, key) => {
      after = key
    }
  })
  if (existing.rowCount() === 0) return { digest: createRowDigest() }
  const sourceDigest = await computeDigest(source, table, {
    maxRows: existing.rowCount(),
    onBatch: (rows) => {
      onEvent({ kind: 'rows', phase: 'checking', table: table.name, rows })
    }
  })
  if (isSameDigest(existing, sourceDigest)) return { digest: sourceDigest, after }
  onEvent({ kind: 'restarted', table: table.name, rows: sourceDigest.rowCount() })
  await target.query(`delete from "${table.name}"`)
  return { digest: createRowDigest() }
}

async function computeDigest(
  from: RawDatabase,
  table: TableShape,
  {
    maxRows = Infinity,
    onBatch = () => {}
  }: { maxRows?: number; onBatch?: (rows: number, key: CellValue[]) => void } = {}
): Promise<RowDigest> {
  const digest = createRowDigest()
  for await (const rows of readBatches(from, table, { maxRows })) {
    digest.add(rows)
    onBatch(rows.length, pickPrimaryKey(table, rows.at(-1) ?? []))
  }
  return digest
}

/** The highest id ever assigned, even if its row is gone: it must not be assigned again. */
async function findMaxId(
  source: RawDatabase,
  table: TableShape,
  identityColumn: string
): Promise<number> {
  const [[maxId] = []] = await source.query(`select max("${identityColumn}") from "${table.name}"`)
  return Math.max(Number(maxId ?? 0), await source.lastSequence(table))
}

function describeDifference({ name }: TableShape, source: RowDigest, target: RowDigest): string {
  return source.rowCount() === target.rowCount()
    ? `${name}: the copy has as many rows as the source, but they differ.`
    : `${name}: ${formatNumber(source.rowCount())} rows in the source and ` +
        `${formatNumber(target.rowCount())} in the copy.`
}
