import { isDivisibleFailure } from './adaptive-pager.ts'
import { isId } from './paging.ts'
import type { ItemBatch, LookUpResult } from './provider.ts'

/** Missing items that are also requested one by one. */
const SAMPLE_SIZE = 5
/** If a sample contradicts the batches, at most this many are requested one by one. */
const MAX_SINGLE_LOOK_UPS = 100

/** The answer about one batch of ids. An id that it does not name is absent. */
export interface LookUpBatch<Contents> extends Pick<ItemBatch<Contents>, 'items' | 'invalidItems'> {
  /** Items that Atlassian returned as deleted. */
  deletedIds: string[]
}

interface LookUpRequests<Contents> {
  batchSize: number
  fetchBatch: (ids: string[]) => Promise<LookUpBatch<Contents>>
  /** Requests one item. @throws any error other than a 404 */
  exists: (id: string) => Promise<boolean>
}

/**
 * Finds out which of the ids are gone. An item is gone if Atlassian returns it as deleted, or if
 * two batches do not return it while they return the control item, and single requests confirm a
 * sample. Anything else proves nothing (docs/reference/atlassian.md#87-bulk-fetch).
 *
 * @param controlId an item that exists; without one, the batches have to speak for themselves
 */
export async function lookUpInBatches<Contents>(
  ids: readonly string[],
  controlId: string | undefined,
  { batchSize, fetchBatch, exists }: LookUpRequests<Contents>
): Promise<LookUpResult<Contents>> {
  const result: LookUpResult<Contents> = { items: [], invalidItems: [], goneIds: [] }
  const control = controlId === undefined || !isId(controlId) ? [] : [controlId]
  const validIds = ids.filter(isId)
  const absentIds: string[] = []
  for (let i = 0; i < validIds.length; i += batchSize - 1) {
    let missingIds = validIds.slice(i, i + batchSize - 1)
    for (let round = 0; round < 2 && missingIds.length > 0; round++) {
      const answer = await fetchBatch([...missingIds, ...control])
      const returnedIds = new Set([
        ...[...answer.items, ...answer.invalidItems].map(({ remoteId }) => remoteId),
        ...answer.deletedIds
      ])
      const asked = new Set(missingIds)
      result.items.push(...answer.items.filter(({ remoteId }) => asked.has(remoteId)))
      result.invalidItems.push(
        ...answer.invalidItems.filter(({ remoteId }) => remoteId !== null && asked.has(remoteId))
      )
      const isProof = control.every((id) => returnedIds.has(id))
      if (isProof) result.goneIds.push(...answer.deletedIds.filter((id) => asked.has(id)))
      missingIds = isProof ? missingIds.filter((id) => !returnedIds.has(id)) : []
    }
    absentIds.push(...missingIds)
  }
  const isGone = async (id: string): Promise<boolean> => {
    try {
      return !(await exists(id))
    } catch (error) {
      if (isDivisibleFailure(error)) return false
      throw error
    }
  }
  const sample = chooseSample(absentIds)
  const sampleGone = await filterAsync(sample, isGone)
  const others = absentIds.filter((id) => !sample.includes(id))
  result.goneIds.push(
    ...sampleGone,
    ...(sampleGone.length === sample.length
      ? others
      : await filterAsync(others.slice(0, MAX_SINGLE_LOOK_UPS), isGone))
  )
  return result
}

/** Ids from the whole list, at equal distances. */
function chooseSample(ids: readonly string[]): string[] {
  const step = Math.max(1, ids.length / SAMPLE_SIZE)
  return ids.filter((_, i) => Math.floor(i % step) === 0).slice(0, SAMPLE_SIZE)
}

async function filterAsync(
  ids: readonly string[],
  test: (id: string) => Promise<boolean>
): Promise<string[]> {
  const passed: string[] = []
  for (const id of ids) if (await test(id)) passed.push(id)
  return passed
}
