import { setTimeout as sleep } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { existingUser } from '../../src/oauth/resolve-user.ts'
import { providers } from '../../src/providers/index.ts'
import type { Collection } from '../../src/providers/provider.ts'
import { Id, Nullable, PathId, problems } from '../../src/http/schemas.ts'
import { COLLECTIONS, type CollectionName } from '../../src/model/items.ts'
import { tableOf } from '../../src/sync/copy-collection.ts'
import { rowSchema, view } from '../items/lists.ts'
import { assertKept, begin, read, write, type Position } from './feed-cursor.ts'

export const autoPrefix = '/users/:user_id/changes'

const collections = providers.flatMap(({ collections }) => [...collections])
/** Changes may be made by another process: how often a reader that waits looks for them. */
const LOOK_MS = 200

const Changes = Type.Object({
  changes: Type.Array(
    Type.Object({
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
        Type.Union(collections.map(rowSchema), {
          description: 'As the lists serve it; null with delete'
        })
      )
    })
  ),
  next: Type.String({ description: 'Give it as since', example: 'WyJjaGFuZ2VzIiwxLDM5Miw0XQ' }),
  more: Type.Boolean({
    description: 'There is more already; there may be no changes in this answer all the same'
  })
})

const Query = Type.Object(
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
        summary:
          'What has changed since a cursor, in the order it was applied, each item once as it is now',
        params: Type.Object({ user_id: PathId }),
        querystring: Query,
        response: { 200: Changes, ...problems(400, 404, 410, 422) }
      },
      // To find out which of the schemas an item fits takes longer than reading it; `view` has made it by the right one.
      serializerCompiler: () => JSON.stringify
    },
    async ({ params, query: { since, collections: asked, limit, wait }, signal }) => {
      const owner = Number(params.user_id)
      const names =
        asked === undefined ? undefined : [...new Set(asked.split(',') as CollectionName[])]
      const until = performance.now() + wait * 1000
      const isOver = () => performance.now() >= until || signal.aborted || app.isDraining()
      let position = since === undefined ? undefined : read(since, owner, names)
      while (true) {
        await existingUser(store, owner)
        position ??= begin(owner, await store.feed.state(owner), names)
        const { changes, more, next } = await readFrom(position, limit)
        if (changes.length > 0 || more || isOver()) return { changes, next: write(next), more }
        position = next
        while (!isOver() && (await store.feed.state(owner)).seq === position.at) {
          await sleep(Math.min(LOOK_MS, Math.max(1, until - performance.now())))
        }
      }
    }
  )

  /** Each table has its changes in order; together they are in the order of their numbers. @throws AppError `cursor_expired` */
  async function readFrom(position: Position, limit: number) {
    const { owner, at, horizon, names } = position
    // Before the tables: what is written while they are read is behind it, and told the next time.
    const state = await store.feed.state(owner)
    const found = await Promise.all(
      names.map(async (name) =>
        (await tableOf(store, name).changes(owner, at, limit + 1)).map((change) => ({
          ...change,
          name
        }))
      )
    )
    // Behind the tables: what was forgotten while they were read may be what has not been told.
    assertKept(position, await store.feed.state(owner))
    const behind = found
      .flat()
      .filter(({ seq }) => seq <= state.seq)
      .sort((a, b) => a.seq - b.seq)
    const page = behind.slice(0, limit)
    const more = behind.length > limit
    const changes = page
      // What was deleted before the snapshot is not in it.
      .filter(({ item, seq }) => item !== null || seq > horizon)
      .map(({ name, item, id, remoteId, site }) => ({
        collection: name,
        op: item === null ? ('delete' as const) : ('upsert' as const),
        id,
        remote_id: remoteId,
        site: site === '' ? null : site,
        item: item === null ? null : view(collectionOf(name), item)
      }))
    return { changes, more, next: { ...position, at: more ? (page.at(-1)?.seq ?? at) : state.seq } }
  }
}

export default routes

function collectionOf(name: CollectionName): Collection {
  const collection = collections.find((each) => each.name === name)
  if (collection === undefined) throw new Error('A collection that no product has')
  return collection
}
