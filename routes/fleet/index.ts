import { Type } from '@sinclair/typebox'
import type { FastifyContextConfig } from 'fastify'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { toFleetConnectionResponse, toFleetCounts } from '../../src/connections/fleet-view.ts'
import { decodeCursor, isIdPosition } from '../../src/http/cursor.ts'
import { paginate } from '../../src/http/pagination.ts'
import { Id, PaginationParameters, problemResponses } from '../../src/http/schemas.ts'
import { CONNECTION_STATES } from '../../src/model/states.ts'
import { RunResponse, RUN_STATES, toRunResponse } from '../integrations/run-view.ts'
import { createEnumFilter, FleetConnections, SiteFilter, TextFilter } from './schema.ts'

export const autoPrefix = '/'

const ADMIN_ACCESS: FastifyContextConfig = { access: { scope: 'admin' } }

/** Lists of all owners, for operators. */
const routes: FastifyPluginAsyncTypebox = async (app) => {
  const { fleet } = app.store
  const ProductFilter = createEnumFilter(app.providers.all.map(({ id }) => id))

  app.get(
    '/connections',
    {
      config: ADMIN_ACCESS,
      schema: {
        tags: ['Connections'],
        operationId: 'listAllConnections',
        summary: 'List the connections of all users, oldest first, with counts',
        querystring: Type.Object(
          {
            ...PaginationParameters,
            limit: { ...PaginationParameters.limit, default: 100 },
            state: createEnumFilter(CONNECTION_STATES),
            product: ProductFilter,
            site: SiteFilter,
            text: TextFilter
          },
          { additionalProperties: false }
        ),
        response: { 200: FleetConnections, ...problemResponses(400, 422) }
      }
    },
    async ({ query: { limit, cursor, ...filter }, url }, reply) => {
      const after = decodeCursor(cursor, isIdPosition)?.[0]
      const rows = await fleet.listConnections(filter, limit + 1, after)
      const { page, headers } = paginate(rows, limit, url, ({ id }) => [id])
      reply.headers(headers)
      return {
        connections: page.map(toFleetConnectionResponse),
        // Counting reads every connection, so it is done once for a list.
        counts: after === undefined ? toFleetCounts(await fleet.countConnections(filter)) : null
      }
    }
  )

  app.get(
    '/sync/runs',
    {
      config: ADMIN_ACCESS,
      schema: {
        tags: ['Integrations'],
        operationId: 'listAllSyncRuns',
        summary: 'List the sync runs of all owners, newest first',
        querystring: Type.Object(
          {
            ...PaginationParameters,
            limit: { ...PaginationParameters.limit, default: 50 },
            state: createEnumFilter(RUN_STATES),
            product: ProductFilter,
            owner_id: Type.Optional(Id),
            since: Type.Optional(
              Type.String({
                format: 'instant',
                maxLength: 40,
                description: 'Only runs that were created at this time or later',
                example: '2026-11-23T12:00:00Z'
              })
            )
          },
          { additionalProperties: false }
        ),
        response: { 200: Type.Array(RunResponse), ...problemResponses(400, 422) }
      }
    },
    async ({ query: { limit, cursor, owner_id: ownerId, since, state, product }, url }, reply) => {
      const rows = await fleet.listRuns(
        { state, product, ownerId, since: since === undefined ? undefined : new Date(since) },
        limit + 1,
        decodeCursor(cursor, isRunPosition)
      )
      const { page, headers } = paginate(rows, limit, url, ({ createdAt, id }) => [
        createdAt.getTime(),
        id
      ])
      reply.headers(headers)
      return page.map(toRunResponse)
    }
  )
}

export default routes

/** The time in milliseconds and the id of a run. */
function isRunPosition(value: unknown): value is [number, number] {
  return Array.isArray(value) && value.length === 2 && value.every(Number.isSafeInteger)
}
