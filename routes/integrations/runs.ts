import { Readable } from 'node:stream'
import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyContextConfig, FastifyRequest } from 'fastify'
import { isIdPosition, decodeCursor } from '../../src/http/cursor.ts'
import { AppError } from '../../src/lib/errors.ts'
import { paginate, buildRelativeReference } from '../../src/http/pagination.ts'
import type { Provider } from '../../src/providers/provider.ts'
import {
  EmptyBody,
  Id,
  PaginationParameters,
  problemResponses,
  toTypeName
} from '../../src/http/schemas.ts'
import type { SyncRun, RunMode } from '../../src/store/repositories/sync-runs.ts'
import { streamRunEvents, isCaughtUp, MAX_STREAM_DURATION_MS } from './run-stream.ts'
import { RunResponse, toRunResponse } from './run-view.ts'

export const OwnerQuery = {
  owner_id: Type.Optional({ ...Id, description: 'Default: the first user' })
}
const ModeSchema = Type.Unsafe<RunMode>({
  type: 'string',
  enum: ['due', 'incremental', 'full'],
  default: 'due',
  description:
    '`due`: incremental; full once a day · `incremental`: changed items, after a first ' +
    'full sync · `full`: everything; also detects deletions'
})
const RunParams = Type.Object({ id: Id })

interface RunRoutesOptions {
  provider: Provider
  resolveOwnerId: (
    ownerId: number | undefined,
    restrictedUserId: number | undefined
  ) => Promise<number | undefined>
}

/** The owner is in the run; the handler checks it. */
const RUN_READ_ACCESS: FastifyContextConfig = { access: { scope: 'sync:read', owner: 'caller' } }

/** Routes of the sync runs of one product. */
export const runRoutes: FastifyPluginAsyncTypebox<RunRoutesOptions> = async (
  app,
  { provider, resolveOwnerId }
) => {
  const { runs } = app.store
  const name = toTypeName(provider.id)

  app.post(
    '',
    {
      config: { access: { scope: 'sync:write', owner: 'query.owner_id' } },
      schema: {
        tags: ['Integrations'],
        operationId: `start${name}Sync`,
        summary: `Start a ${provider.title} sync run of the owner, or join the active one`,
        querystring: Type.Object(
          { ...OwnerQuery, mode: ModeSchema },
          { additionalProperties: false }
        ),
        body: EmptyBody,
        response: { 202: RunResponse, ...problemResponses(400, 404, 409, 413, 415, 422) }
      }
    },
    async (request, reply) => {
      const { query, url, log } = request
      const run = await app.syncWorker.enqueueRun(
        await requireOwnerId(query.owner_id, request),
        provider,
        log.child({ provider: provider.id }),
        query.mode
      )
      return await reply
        .code(202)
        .header('location', buildRelativeReference(url, `runs/${run.id}`))
        .send(toRunResponse(run))
    }
  )

  app.get(
    '/runs',
    {
      config: { access: { scope: 'sync:read', owner: 'query.owner_id' } },
      schema: {
        tags: ['Integrations'],
        operationId: `list${name}SyncRuns`,
        summary: `List the owner's ${provider.title} sync runs, newest first`,
        querystring: Type.Object(
          {
            ...OwnerQuery,
            ...PaginationParameters,
            limit: { ...PaginationParameters.limit, default: 50 }
          },
          { additionalProperties: false }
        ),
        response: { 200: Type.Array(RunResponse), ...problemResponses(400, 404, 422) }
      }
    },
    async (request, reply) => {
      const {
        query: { owner_id: ownerId, limit, cursor },
        url
      } = request
      const rows = await runs.list(
        await requireOwnerId(ownerId, request),
        provider.id,
        limit + 1,
        decodeCursor(cursor, isIdPosition)?.[0]
      )
      const { page, headers } = paginate(rows, limit, url, ({ id }) => [id])
      reply.headers(headers)
      return page.map(toRunResponse)
    }
  )

  app.get(
    '/runs/:id',
    {
      config: RUN_READ_ACCESS,
      schema: {
        tags: ['Integrations'],
        operationId: `get${name}SyncRun`,
        summary: `Get a ${provider.title} sync run`,
        params: RunParams,
        response: { 200: RunResponse, ...problemResponses(404, 422) }
      }
    },
    async (request) => toRunResponse(await requireRun(request.params.id, request))
  )

  app.get(
    '/runs/:id/events',
    {
      // A stream outlives the general limit.
      config: { ...RUN_READ_ACCESS, timeLimitMs: 2 * MAX_STREAM_DURATION_MS },
      schema: {
        tags: ['Integrations'],
        operationId: `follow${name}SyncRun`,
        summary: `Follow a ${provider.title} sync run as server-sent events until it ends`,

        params: RunParams,
        headers: Type.Object({
          'last-event-id': Type.Optional(
            Type.String({
              maxLength: 64,
              description: 'Id of the last event received; the stream continues after it'
            })
          )
        }),
        response: {
          200: {
            description:
              '`progress` events at least once per second while the run is active, ' +
              'then one `end` event; their data is the run',
            content: {
              'text/event-stream': {
                schema: Type.Unsafe<Readable>({
                  type: 'string',
                  example: 'id: 3.q1w2e3\nevent: progress\ndata: {"id":3,"state":"running"}\n\n'
                })
              }
            }
          },
          204: Type.Null({
            description: 'The run has ended and the client has its last event; stop reconnecting'
          }),
          ...problemResponses(404, 422)
        }
      }
    },
    async (request, reply) => {
      const {
        params,
        headers: { 'last-event-id': lastEventId },
        method,
        signal
      } = request
      const run = await requireRun(params.id, request)
      if (isCaughtUp(run, lastEventId)) return await reply.code(204).send(null)
      const shouldStop = () => signal.aborted || app.isClosing()
      const stream = Readable.from(
        method === 'HEAD'
          ? []
          : streamRunEvents(
              run,
              async () => await runs.get(run.id, provider.id),
              lastEventId,
              shouldStop,
              async () => await request.isStillAuthorized()
            )
      )
      return await reply
        .headers({
          'content-type': 'text/event-stream; charset=utf-8',
          'x-accel-buffering': 'no',
          // A kept-alive connection would delay shutdown.
          connection: 'close'
        })
        .send(stream)
    }
  )

  app.delete(
    '/runs/:id',
    {
      config: { access: { scope: 'sync:write', owner: 'caller' } },
      schema: {
        tags: ['Integrations'],
        operationId: `cancel${name}SyncRun`,
        summary: `Cancel a ${provider.title} sync run; items copied so far stay`,
        params: RunParams,
        response: { 200: RunResponse, ...problemResponses(400, 404, 409, 413, 415, 422) }
      }
    },
    async (request) => {
      const { id } = await requireRun(request.params.id, request)
      await app.syncWorker.cancel(id)
      return toRunResponse(await requireRun(request.params.id, request))
    }
  )

  async function requireOwnerId(
    ownerId: number | undefined,
    request: FastifyRequest
  ): Promise<number> {
    const resolvedOwnerId = await resolveOwnerId(ownerId, request.restrictedUserId())
    if (resolvedOwnerId === undefined) throw new AppError('user_not_found', 'There is no user yet.')
    return resolvedOwnerId
  }

  async function requireRun(id: number, request: FastifyRequest): Promise<SyncRun> {
    const run = await runs.get(id, provider.id)
    if (run === undefined || (request.restrictedUserId() ?? run.ownerId) !== run.ownerId) {
      throw new AppError('run_not_found', `No ${provider.title} run has this id.`)
    }
    return run
  }
}
