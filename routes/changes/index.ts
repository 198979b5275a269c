import { setTimeout as sleep } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { requireUser } from '../../src/oauth/resolve-user.ts'
import { createAuthorizationCheck } from '../../src/http/authorization-check.ts'
import { AppError } from '../../src/lib/errors.ts'
import { countFitting } from '../../src/model/items.ts'
import type { ProviderRegistry } from '../../src/providers/registry.ts'
import { Id, Nullable, problemResponses } from '../../src/http/schemas.ts'
import { createItemSchema, SiteId, toItemResponse } from '../items/schema.ts'
import { createFeedCursors, type FeedPosition } from './feed-cursor.ts'

export const autoPrefix = '/users/:user_id/changes'

/** A page ends after the change that fills it; the next one has the rest. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024
/** Another process may make the changes that a reader waits for. */
const POLL_INTERVAL_MS = 200

const createChangesResponse = ({ collections }: ProviderRegistry) =>
  Type.Object(
    {
      changes: Type.Array(
        Type.Object(
          {
            collection: Type.Union(collections.map(({ name }) => Type.Literal(name))),
            op: Type.Union([Type.Literal('upsert'), Type.Literal('delete')]),
            id: {
              ...Id,
              description: 'The id of the item here: what it is, over all collections of this name'
            },
            remote_id: Type.String({
              description: 'Its id at Atlassian; for an item posted by hand its natural key',
              example: '302737'
            }),
            site: SiteId,
            item: Nullable(
              Type.Union(
                collections.map((each) => createItemSchema(each)),
                {
                  description: 'As the lists serve it; null with delete'
                }
              )
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

const createChangesQuery = (names: readonly string[]) =>
  Type.Object(
    {
      since: Type.Optional(
        Type.String({
          maxLength: 200,
          description: 'The `next` of the previous response. Without it: a snapshot'
        })
      ),
      collections: Type.Optional(
        Type.String({
          pattern: `^(${names.join('|')})(,(${names.join('|')}))*$`,
          maxLength: 200,
          description:
            `Only these collections, separated by commas: ${names.join(', ')}. ` +
            'Default: those of the cursor, or all'
        })
      ),
      limit: Type.Integer({
        minimum: 1,
        maximum: 1000,
        default: 500,
        description: 'Maximum number of changes'
      }),
      wait: Type.Integer({
        minimum: 0,
        maximum: 60,
        default: 0,
        description: 'Seconds to wait for a change while there is none'
      })
    },
    { additionalProperties: false }
  )

/** The change feed: a downstream copy that follows it stays equal to the tables. */
const routes: FastifyPluginAsyncTypebox = async (app) => {
  const { store, providers } = app
  const allNames = providers.collections.map(({ name }) => name)
  const cursors = createFeedCursors(allNames)

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
        querystring: createChangesQuery(allNames),
        response: { 200: createChangesResponse(providers), ...problemResponses(400, 404, 410, 422) }
      },
      // Matching each item against every schema of the union takes longer than reading it.
      serializerCompiler: () => JSON.stringify
    },
    async (request) => {
      const {
        params,
        query: { since, collections: requested, limit, wait },
        signal
      } = request
      const isStillAuthorized = createAuthorizationCheck(
        async () => await request.isStillAuthorized()
      )
      const ownerId = params.user_id
      const names = requested === undefined ? undefined : [...new Set(requested.split(','))]
      const deadline = performance.now() + wait * 1000
      const shouldStop = () => performance.now() >= deadline || signal.aborted || app.isClosing()
      const close = wait === 0 ? () => {} : app.fairShare.openPoll(ownerId)
      try {
        return await poll()
      } finally {
        close()
      }

      async function poll() {
        let position = since === undefined ? undefined : cursors.decode(since, ownerId, names)
        while (true) {
          await requireUser(store, ownerId)
          position ??= cursors.initialPosition(
            ownerId,
            await store.changeFeed.getState(ownerId),
            names
          )
          const { changes, more, next } = await readChanges(position, limit)
          if (changes.length > 0 || more || shouldStop()) {
            return { changes, next: cursors.encode(next), more }
          }
          position = next
          while (
            !shouldStop() &&
            (await store.changeFeed.getState(ownerId)).seq === position.lastSeq
          ) {
            if (!(await isStillAuthorized())) {
              throw new AppError('unauthenticated', 'The credential is no longer valid.')
            }
            await sleep(Math.min(POLL_INTERVAL_MS, Math.max(1, deadline - performance.now())))
          }
        }
      }
    }
  )

  /** Merges the changes of all tables by sequence number. @throws AppError `cursor_expired` */
  async function readChanges(position: FeedPosition, limit: number) {
    const { ownerId, lastSeq, snapshotSeq, collections } = position
    // Read before the tables: what is written meanwhile has a higher number and comes next time.
    const state = await store.changeFeed.getState(ownerId)
    const sizesByTable = await Promise.all(
      collections.map(async (name) =>
        (await store.items(name).listChangeSizes(ownerId, lastSeq, limit + 1)).map((size) => ({
          ...size,
          name
        }))
      )
    )
    const pending = sizesByTable
      .flat()
      .filter(({ seq }) => seq <= state.seq)
      .sort((a, b) => a.seq - b.seq)
    const count = countFitting(
      pending.slice(0, limit).map(({ bytes }) => bytes),
      MAX_ANSWER_BYTES
    )
    const more = pending.length > count
    const changed = pending.slice(0, count)
    const changesByTable = await Promise.all(
      collections.map(async (name) => {
        const tableCount = changed.filter((change) => change.name === name).length
        if (tableCount === 0) return []
        const changes = await store.items(name).listChanges(ownerId, lastSeq, tableCount)
        return changes.map((change) => ({ ...change, name }))
      })
    )
    // Read after the tables: a purge meanwhile may have removed changes that the reader lacks.
    cursors.assertNotExpired(position, await store.changeFeed.getState(ownerId))
    const lastRead = more ? (changed.at(-1)?.seq ?? lastSeq) : state.seq
    const page = changesByTable
      .flat()
      // An item that has changed again meanwhile has moved to its new place in the feed.
      .filter(({ seq }) => seq <= lastRead)
      .sort((a, b) => a.seq - b.seq)
    const changes = page
      // A snapshot leaves out what was deleted before it.
      .filter(({ item, seq }) => item !== null || seq > snapshotSeq)
      .map(({ name, item, id, remoteId, site }) => ({
        collection: name,
        op: item === null ? ('delete' as const) : ('upsert' as const),
        id,
        remote_id: remoteId,
        site: site === '' ? null : site,
        item: item === null ? null : toItemResponse(providers.getCollection(name), item)
      }))
    return {
      changes,
      more,
      next: { ...position, lastSeq: lastRead }
    }
  }
}

export default routes
