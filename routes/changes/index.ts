import { setTimeout as sleep } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { requireUser } from '../../src/oauth/resolve-user.ts'
import { providers } from '../../src/providers/index.ts'
import type { Collection } from '../../src/providers/provider.ts'
import { Id, Nullable, problemResponses } from '../../src/http/schemas.ts'
import { COLLECTIONS, type CollectionName } from '../../src/model/items.ts'
import { getItemRepository } from '../../src/sync/copy-collection.ts'
import { createItemSchema, toItemResponse } from '../items/lists.ts'
import {
  assertNotExpired,
  initialPosition,
  decodeFeedCursor,
  encodeFeedCursor,
  type FeedPosition
} from './feed-cursor.ts'

export const autoPrefix = '/users/:user_id/changes'

const allCollections = providers.flatMap(({ collections }) => [...collections])
/** Changes may be made by another process: how often a reader that waits looks for them. */
const POLL_INTERVAL_MS = 200

const ChangesResponse = Type.Object(
  {
    changes: Type.Array(
      Type.Object(
        {
          collection: Type.Union(COLLECTIONS.map((name) => Type.Literal(name))),
          op: Type.Union([Type.Literal('upsert'), Type.Literal('delete')]),
          id: {
            ...Id,
            description: 'The id of the item here: what it is, over all collections of this name'
          },
          remote_id: Type.String({
            description: 'Its id at Atlassian; for an item posted by hand its natural key',
            example: '302737'
          }),
          site: Nullable(
            Type.String({
              description: 'The cloudId of its site; null for an item posted by hand',
              example: '8f0c1d3e-2222-4b4b-9a9a-000000000001'
            })
          ),
          item: Nullable(
            Type.Union(allCollections.map(createItemSchema), {
              description: 'As the lists serve it; null with delete'
            })
          )
        },
        { title: 'Change' }
      )
    ),
    next: Type.String({ description: 'Give it as since', example: 'WyJjaGFuZ2VzIiwxLDM5Miw0XQ' }),
    more: Type.Boolean({
      description: 'There is more already; there may be no changes in this answer all the same'
    })
  },
  { title: 'ChangeList' }
)

const ChangesQuery = Type.Object(
  {
    since: Type.Optional(
      Type.String({
        maxLength: 200,
        description: 'The cursor of the answer before. Without it: a snapshot of what is there'
      })
    ),
    collections: Type.Optional(
      Type.String({
        pattern: `^(${COLLECTIONS.join('|')})(,(${COLLECTIONS.join('|')}))*$`,
        maxLength: 200,
        description:
          'Only these, separated by commas. Default: those that the cursor is for, and all without one',
        example: 'projects,pages'
      })
    ),
    limit: Type.Integer({
      minimum: 1,
      maximum: 1000,
      default: 500,
      description: 'How many at most'
    }),
    wait: Type.Integer({
      minimum: 0,
      maximum: 60,
      default: 0,
      description: 'Seconds to wait for a change where there is none yet'
    })
  },
  { additionalProperties: false }
)

/** The change feed: what a downstream copy follows to be equal to the tables. */
const routes: FastifyPluginAsyncTypebox = async (app) => {
  const { store } = app

  app.get(
    '',
    {
      config: { access: { scope: 'data:read', owner: 'params.user_id' } },
      schema: {
        tags: ['Data'],
        operationId: 'listChanges',
        summary:
          'What has changed since a cursor, in the order it was applied, each item once as it is now',
        params: Type.Object({ user_id: Id }),
        querystring: ChangesQuery,
        response: { 200: ChangesResponse, ...problemResponses(400, 404, 410, 422) }
      },
      // To find out which of the schemas an item fits takes longer than reading it; `view` has made it by the right one.
      serializerCompiler: () => JSON.stringify
    },
    async ({ params, query: { since, collections: requested, limit, wait }, signal }) => {
      const ownerId = params.user_id
      const names =
        requested === undefined ? undefined : [...new Set(requested.split(',') as CollectionName[])]
      const deadline = performance.now() + wait * 1000
      const shouldStop = () => performance.now() >= deadline || signal.aborted || app.isDraining()
      let position = since === undefined ? undefined : decodeFeedCursor(since, ownerId, names)
      while (true) {
        await requireUser(store, ownerId)
        position ??= initialPosition(ownerId, await store.changeFeed.getState(ownerId), names)
        const { changes, more, next } = await readChanges(position, limit)
        if (changes.length > 0 || more || shouldStop()) {
          return { changes, next: encodeFeedCursor(next), more }
        }
        position = next
        while (
          !shouldStop() &&
          (await store.changeFeed.getState(ownerId)).seq === position.lastSeq
        ) {
          await sleep(Math.min(POLL_INTERVAL_MS, Math.max(1, deadline - performance.now())))
        }
      }
    }
  )

  /** Each table has its changes in order; together they are in the order of their numbers. @throws AppError `cursor_expired` */
  async function readChanges(position: FeedPosition, limit: number) {
    const { ownerId, lastSeq, snapshotSeq, collections } = position
    // Before the tables: what is written while they are read is behind it, and told the next time.
    const state = await store.changeFeed.getState(ownerId)
    const changesByTable = await Promise.all(
      collections.map(async (name) =>
        (await getItemRepository(store, name).listChanges(ownerId, lastSeq, limit + 1)).map(
          (change) => ({
            ...change,
            name
          })
        )
      )
    )
    // Behind the tables: what was forgotten while they were read may be what has not been told.
    assertNotExpired(position, await store.changeFeed.getState(ownerId))
    const pending = changesByTable
      .flat()
      .filter(({ seq }) => seq <= state.seq)
      .sort((a, b) => a.seq - b.seq)
    const page = pending.slice(0, limit)
    const more = pending.length > limit
    const changes = page
      // What was deleted before the snapshot is not in it.
      .filter(({ item, seq }) => item !== null || seq > snapshotSeq)
      .map(({ name, item, id, remoteId, site }) => ({
        collection: name,
        op: item === null ? ('delete' as const) : ('upsert' as const),
        id,
        remote_id: remoteId,
        site: site === '' ? null : site,
        item: item === null ? null : toItemResponse(requireCollection(name), item)
      }))
    return {
      changes,
      more,
      next: { ...position, lastSeq: more ? (page.at(-1)?.seq ?? lastSeq) : state.seq }
    }
  }
}

export default routes

function requireCollection(name: CollectionName): Collection {
  const collection = allCollections.find((each) => each.name === name)
  if (collection === undefined) throw new Error('A collection that no product has')
  return collection
}
