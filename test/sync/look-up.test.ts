import t from 'tap'
import { lookUpInBatches } from '../../src/providers/look-up.ts'

const IDS = ['1', '2', '3']
const CONTROL_ID = '99'

/** A look-up whose batches return only these ids, and whose single requests find nothing. */
async function lookUp(returned: string[], control: string | undefined = CONTROL_ID) {
  const { goneIds } = await lookUpInBatches(IDS, control, {
    batchSize: 100,
    fetchBatch: async () => ({
      items: returned.map((remoteId) => ({ remoteId, item: {} })),
      invalidItems: [],
      deletedIds: []
    }),
    exists: async () => false
  })
  return goneIds.sort()
}

t.test('Items are gone if batches lack them and return the listed neighbour', async (t) => {
  t.same(await lookUp([CONTROL_ID]), IDS)
  t.same(await lookUp([CONTROL_ID, '2']), ['1', '3'])
})

t.test('A batch that lacks the listed neighbour too proves nothing', async (t) => {
  t.same(await lookUp([]), [])
  t.same(await lookUp(['2']), [])
})
