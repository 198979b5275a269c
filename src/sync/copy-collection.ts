import { AppError } from '../lib/errors.ts'
import type { Batch, Collection, CollectionName, Reader } from '../providers/provider.ts'
import type { Checkpoint, Part } from '../store/repositories/checkpoints.ts'
import type { Items } from '../model/items.ts'
import type { Store } from '../store/index.ts'
import type { Failure, Tally } from '../store/repositories/sync-runs.ts'
import { noteFailure, record, type Context } from './context.ts'

type AnyBatch = Batch<Items[CollectionName]>

/** More ids than this are not kept to be tried again: the next full listing has them. */
export const MOST_RETRIED = 100
/** A listing that was left for longer begins anew. */
const OLDEST_CURSOR_MS = 24 * 3_600_000

/**
 * The table of a collection. Proof of the cast: tables differ only in the columns that the collection itself reads and writes, so
 * whichever it is, handing it its own items back is right.
 */
export function tableOf(store: Store, name: CollectionName): Store['projects'] {
  return store[name] as unknown as Store['projects']
}

/**
 * Reads the whole collection, from where an earlier run has left off. Items, cursor and counts move in one step for each
 * upstream page, so that a run that dies goes on at its page.
 *
 * @throws AppError `listing_incomplete` at the end of a listing that cannot have been complete
 */
export async function list(
  context: Context,
  collection: Collection,
  reader: Reader,
  part: Part
): Promise<Checkpoint> {
  const { checkpoints } = context.settings.store
  const before = await checkpoints.get(part)
  try {
    return await listOn(context, collection, reader, part, before)
  } catch (error) {
    // A cursor that Atlassian no longer takes is no reason to fail: it begins anew.
    const isRefused =
      error instanceof AppError &&
      error.upstreamStatus === 400 &&
      before.cursor !== null &&
      (await checkpoints.get(part)).cursor === before.cursor
    if (!isRefused) throw error
    return await listOn(context, collection, reader, part, { ...before, cursor: null })
  }
}

async function listOn(
  context: Context,
  collection: Collection,
  reader: Reader,
  part: Part,
  found: Checkpoint
): Promise<Checkpoint> {
  const {
    settings: { now },
    tally
  } = context
  const variant = reader.bodies ? 'bodies' : ''
  const goesOn =
    found.cursor !== null &&
    found.variant === variant &&
    (found.begunAt?.getTime() ?? 0) > reader.now() - OLDEST_CURSOR_MS
  const before = goesOn
    ? found
    : {
        ...found,
        pass: found.pass + 1,
        cursor: null,
        begunAt: new Date(reader.now()),
        listed: 0,
        variant,
        retry: []
      }
  reader.pass = before.pass
  const isBlind = collection.neverEmpty === true || isBlindAt(part, tally)
  const first = before.completeAt === null
  let checkpoint = before
  let isShort = false
  for await (const batch of ahead(collection.list(reader, before.cursor))) {
    // One that comes twice is counted twice by Atlassian too.
    const listed = checkpoint.listed + batch.items.length + batch.failed.length
    const watermark = first ? later(checkpoint.watermark, newestOf(batch)) : checkpoint.watermark
    checkpoint = { ...checkpoint, cursor: batch.next, listed, watermark }
    isShort = batch.next === null && (listed < (batch.atLeast ?? 0) || (listed === 0 && isBlind))
    if (batch.next === null && !isShort) {
      checkpoint = completed(checkpoint, new Date(now()), context)
    }
    checkpoint = await save(
      context,
      part,
      reader.pass,
      batch,
      checkpoint,
      batch.expected ?? (before.listedBefore || null)
    )
  }
  if (isShort && checkpoint.listed === 0) throw nothingVisible(collection)
  if (isShort) {
    throw new AppError(
      'listing_incomplete',
      `Atlassian's list of ${collection.name} ended early. What it did not show stays until a list is complete.`
    )
  }
  return checkpoint
}

/** What a complete listing means for the next: what it did not show was missed once, or twice. */
function completed(
  checkpoint: Checkpoint,
  at: Date,
  { settings: { shrinkShare } }: Context
): Checkpoint {
  const { pass, completePass, listed, listedBefore, watermark, begunAt, completeAt } = checkpoint
  const shrank = listed < listedBefore * (1 - shrinkShare)
  return {
    ...checkpoint,
    earlierPass: completePass,
    completePass: pass,
    completeAt: at,
    listedBefore: listed,
    heldAt: shrank ? (checkpoint.heldAt ?? at) : null,
    heldCount: shrank ? Math.max(checkpoint.heldCount, 1) : 0,
    // What changed behind the listing's back is newer than its beginning.
    watermark:
      completeAt !== null || begunAt === null || watermark === null
        ? (watermark ?? begunAt)
        : new Date(Math.min(watermark.getTime(), begunAt.getTime()))
  }
}

/** Reads what has changed since the newest change that was seen. Where Atlassian cannot be asked that, everything, which then proves no deletion. */
export async function follow(
  context: Context,
  collection: Collection,
  reader: Reader,
  part: Part
): Promise<void> {
  let checkpoint = await context.settings.store.checkpoints.get(part)
  reader.pass = checkpoint.pass
  if (isBlindAt(part, context.tally)) throw nothingVisible(collection)
  const { retry } = checkpoint
  checkpoint = { ...checkpoint, retry: [] }
  if (retry.length > 0 && collection.fetch !== undefined) {
    checkpoint = await save(
      context,
      part,
      checkpoint.pass,
      await collection.fetch(reader, retry),
      checkpoint,
      null
    )
  }
  const news =
    collection.changes?.(reader, checkpoint.watermark?.getTime() ?? 0) ??
    collection.list({ ...reader, pass: -1 }, null)
  let seen = 0
  for await (const batch of ahead(news)) {
    seen += batch.items.length + batch.failed.length
    checkpoint = await save(
      context,
      part,
      checkpoint.pass,
      batch,
      { ...checkpoint, watermark: later(checkpoint.watermark, batch.newest ?? null) },
      null
    )
  }
  if (seen === 0 && collection.changes === undefined && collection.neverEmpty === true) {
    throw nothingVisible(collection)
  }
}

/** What is tried again and has changed as well fails once. */
function isNoted({ collection, site, remoteId }: Failure, { failures }: Tally): boolean {
  return (
    remoteId !== null &&
    failures.some(
      (noted) =>
        noted.remoteId === remoteId && noted.collection === collection && noted.site === site
    )
  )
}

/** A site of which something else has shown nothing at all in this run. */
function isBlindAt({ site: cloudId }: Part, { failures }: Context['tally']): boolean {
  return failures.some(({ site, code }) => site === cloudId && code === 'listing_empty')
}

function nothingVisible({ name }: Collection): AppError {
  return new AppError(
    'listing_empty',
    `Atlassian showed no ${name} at all. Either there are none, or the account may see none; nothing is deleted for that.`
  )
}

/** @returns the checkpoint as it was saved */
async function save(
  context: Context,
  part: Part,
  pass: number,
  batch: AnyBatch,
  next: Checkpoint,
  expected: number | null
): Promise<Checkpoint> {
  const {
    settings: { store },
    run,
    tally,
    signal
  } = context
  signal.throwIfAborted()
  const saved = new Set(batch.items.map(({ remoteId }) => remoteId))
  const failing = batch.failed.flatMap(({ remoteId }) => remoteId ?? [])
  const checkpoint = {
    ...next,
    retry: [...new Set([...next.retry.filter((id) => !saved.has(id)), ...failing])].slice(
      0,
      MOST_RETRIED
    )
  }
  const failures = batch.failed
    .map((failed) => ({ ...failed, collection: part.collection, site: part.site }))
    .filter((failure) => !isNoted(failure, tally))
  for (const failure of failures) noteFailure(context, failure)
  const sofar =
    tally.progress?.collection === part.collection && tally.progress.site === part.site
      ? tally.progress.done
      : 0
  const progress = {
    collection: part.collection,
    site: part.site,
    done: Math.max(sofar + saved.size, next.cursor === null ? 0 : next.listed),
    expected
  }
  await record(context, function* () {
    const changes = yield* tableOf(store, part.collection as CollectionName).saving(
      run.ownerId,
      part.site,
      batch.items as never,
      pass
    )
    yield store.checkpoints.saving(part, checkpoint)
    return {
      seen: tally.seen + changes.added + changes.changed + changes.unchanged,
      added: tally.added + changes.added,
      changed: tally.changed + changes.changed,
      skipped: tally.skipped + failures.length,
      progress
    }
  })
  return checkpoint
}

/** Asks for the page behind before the page is saved: Atlassian is as slow as the disk, and they can be slow at the same time. */
async function* ahead<T>(pages: AsyncIterable<T>): AsyncGenerator<T> {
  const iterator = pages[Symbol.asyncIterator]()
  try {
    let next = iterator.next()
    while (true) {
      const { value, done } = await next
      if (done === true) return
      next = iterator.next()
      // It is awaited above, when the page before has been saved.
      next.catch(() => {})
      // Saving keeps the thread busy, so the question has to be on its way before; the connection is used again a turn of the event loop later.
      for (let turn = 0; turn < 2; turn++) await new Promise(setImmediate)
      yield value
    }
  } finally {
    iterator.return?.().catch(() => {})
  }
}

function newestOf({ items }: AnyBatch): number | null {
  return items.reduce<number | null>((newest, { item }) => {
    const at = item.remoteUpdatedAt?.getTime() ?? null
    return at !== null && at > (newest ?? -Infinity) ? at : newest
  }, null)
}

function later(watermark: Date | null, at: number | null): Date | null {
  return at === null || (watermark !== null && watermark.getTime() >= at) ? watermark : new Date(at)
}
