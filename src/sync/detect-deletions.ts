import type { Collection, CollectionName, Reader } from '../providers/provider.ts'
import type { Checkpoint, Part } from '../store/repositories/checkpoints.ts'
import type { Missing } from '../store/repositories/item-sync.ts'
import { MOST_RETRIED, tableOf } from './copy-collection.ts'
import { record, type Context } from './context.ts'

/** Items that are looked up one by one in a run; the others wait for the next full listing. */
const MOST_LOOKED_UP = 20
const BURIED_AT_ONCE = 200

/**
 * After a complete full listing: what two of them did not show is gone. What only this one did not show is gone if it is not
 * found when asked for directly either, while something that was listed is: access that was lost looks the same as a deletion,
 * but then the neighbour is not found (atlassian.md sections 11 and 14). A listing that shrank a lot deletes nothing.
 */
export async function bury(
  context: Context,
  collection: Collection,
  reader: Reader,
  part: Part,
  checkpoint: Checkpoint
): Promise<void> {
  const {
    settings: { store },
    tally
  } = context
  const { completePass, earlierPass, heldAt, retry } = checkpoint
  // What was shown and did not fit is not gone; where there are more of those than are remembered, nobody can say what is.
  if (retry.length >= MOST_RETRIED) return
  const table = tableOf(store, part.collection as CollectionName)
  const doubtful: Missing[] = []
  let held = 0
  for await (const unseen of table.missing(part.ownerId, part.site, completePass)) {
    const missing = unseen.filter(({ remoteId }) => !retry.includes(remoteId))
    if (heldAt !== null) {
      held += missing.length
      continue
    }
    const gone = missing.filter(({ pass }) => pass < earlierPass)
    for (let i = 0; i < gone.length; i += BURIED_AT_ONCE) {
      await remove(context, part, gone.slice(i, i + BURIED_AT_ONCE))
    }
    doubtful.push(
      ...missing
        .filter(({ pass }) => pass >= earlierPass)
        .slice(0, MOST_LOOKED_UP - doubtful.length)
    )
  }
  if (heldAt !== null) {
    tally.held += held
    await record(context, function* () {
      yield store.checkpoints.saving(part, {
        ...checkpoint,
        heldCount: held,
        heldAt: held === 0 ? null : heldAt
      })
      return {}
    })
    return
  }
  if (doubtful.length === 0) return
  const neighbour = await table.shown(part.ownerId, part.site, completePass)
  if (neighbour === undefined || !(await collection.look(reader, neighbour))) return
  for (const each of doubtful) {
    if ((await collection.look(reader, each.remoteId)) === false) {
      await remove(context, part, [each])
    }
  }
}

async function remove(context: Context, part: Part, rows: Missing[]): Promise<void> {
  const {
    settings: { store },
    tally
  } = context
  await record(context, function* () {
    return {
      removed:
        tally.removed +
        (yield* tableOf(store, part.collection as CollectionName).burying(part.ownerId, rows))
    }
  })
}
