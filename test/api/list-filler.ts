import type { FastifyInstance } from 'fastify'

const BATCH_SIZE = 1_000

/** Stores copied pages of the first user; their titles are in another order than their ids. */
export async function storePages({ store }: Pick<FastifyInstance, 'store'>, count: number) {
  for (let start = 0; start < count; start += BATCH_SIZE) {
    const items = Array.from({ length: Math.min(BATCH_SIZE, count - start) }, (_, i) =>
      createPage(start + i, `Title ${String(((start + i) * 7919) % count).padStart(7, '0')}`)
    )
    await store.transaction(() => store.items('pages').upsertPage(1, 'site-1', items, 1), true)
  }
}

/** Gives pages other titles, as a sync run does. */
export async function renamePages(
  { store }: Pick<FastifyInstance, 'store'>,
  titles: ReadonlyArray<[remoteId: string, title: string]>
) {
  const items = titles.map(([remoteId, title]) => createPage(Number(remoteId), title))
  await store.transaction(() => store.items('pages').upsertPage(1, 'site-1', items, 1), true)
}

function createPage(i: number, title: string) {
  return {
    remoteId: String(i),
    item: {
      spaceKey: `S${i % 10}`,
      pageId: String(i),
      title,
      status: 'current',
      url: `https://acme.atlassian.net/wiki/spaces/S/pages/${i}`,
      body: '<p>A body that no list contains</p>',
      bodyText: 'A body that no list contains'
    }
  }
}

/** Stores copied pages of the first user, whose bodies and titles have these lengths. */
export async function storeLongPages(
  { store }: Pick<FastifyInstance, 'store'>,
  bodyLengths: readonly number[],
  titleLength = 10,
  text = 'b'
) {
  for (const [i, length] of bodyLengths.entries()) {
    const { remoteId, item } = createPage(i, String(i).padStart(titleLength, '0'))
    const page = {
      remoteId,
      item: { ...item, body: text.repeat(length).slice(0, length), bodyText: 'text' }
    }
    await store.transaction(() => store.items('pages').upsertPage(1, 'site-1', [page], 1), true)
  }
}
