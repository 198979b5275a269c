import { Readable } from 'node:stream'
import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyContextConfig, FastifyRequest } from 'fastify'
import { isIdPosition, readCursor } from '../../src/http/cursor.ts'
import { AppError } from '../../src/lib/errors.ts'
import { pageOf, prefixOf } from '../../src/http/pagination.ts'
import type { Provider } from '../../src/providers/index.ts'
import { Paging, PathId, problems } from '../../src/http/schemas.ts'
import type { Run, RunMode } from '../../src/store/repositories/sync-runs.ts'
import { events, isTold, LONGEST_STREAM_MS } from './run-stream.ts'
import { RunView, view } from './run-view.ts'

export const Owner = {
  owner_id: Type.Optional({ ...PathId, description: 'Default: the first user' })
}
const Mode = Type.Unsafe<RunMode>({
  type: 'string',
  enum: ['due', 'incremental', 'full'],
  default: 'due',
  description:
    'due: incremental, and full where a day has passed since the last · incremental: what has changed, after a first full copy · full: everything'
})
const RunId = Type.Object({ id: PathId })

interface Options {
  provider: Provider
  ownerOf: (ownerId: string | undefined, own: number | undefined) => Promise<number | undefined>
}

/** Whose it is stands in the run. */
const OF_A_RUN: FastifyContextConfig = { access: { scope: 'sync:read', owner: 'itself' } }

/** Runs of one product: started, listed, followed, cancelled. */
export const runRoutes: FastifyPluginAsyncTypebox<Options> = async (app, { provider, ownerOf }) => {
  const { runs } = app.store

  app.post(
    '',
    {
      config: { access: { scope: 'sync:write', owner: 'query.owner_id' } },
      schema: {
        tags: ['Integrations'],
        summary: `Copy what the owner's ${provider.title} connection reaches; joins a run that is under way`,
        querystring: Type.Object({ ...Owner, mode: Mode }, { additionalProperties: false }),
        body: Type.Union([Type.Null(), Type.Object({}, { additionalProperties: false })]),
        response: { 202: RunView, ...problems(400, 404, 409, 413, 415, 422) }
      }
    },
    async (request, reply) => {
      const { query, url, log } = request
      const run = await app.sync.start(
        await owner(query.owner_id, request),
        provider,
        log.child({ provider: provider.id }),
        query.mode
      )
      return await reply
        .code(202)
        .header('location', `${prefixOf(url)}/integrations/${provider.id}/sync/runs/${run.id}`)
        .send(view(run))
    }
  )

  app.get(
    '/runs',
    {
      config: { access: { scope: 'sync:read', owner: 'query.owner_id' } },
      schema: {
        tags: ['Integrations'],
        summary: `The owner's ${provider.title} runs, newest first`,
        querystring: Type.Object(
          { ...Owner, ...Paging, limit: { ...Paging.limit, default: 50 } },
          { additionalProperties: false }
        ),
        response: { 200: Type.Array(RunView), ...problems(400, 404, 422) }
      }
    },
    async (request, reply) => {
      const {
        query: { owner_id: ownerId, limit, cursor },
        url
      } = request
      const found = await runs.list(
        await owner(ownerId, request),
        provider.id,
        limit + 1,
        readCursor(cursor, isIdPosition)?.[0]
      )
      const { page, headers } = pageOf(found, limit, url, ({ id }) => [id])
      reply.headers(headers)
      return page.map(view)
    }
  )

  app.get(
    '/runs/:id',
    {
      config: OF_A_RUN,
      schema: {
        tags: ['Integrations'],
        summary: 'How a run is doing',
        params: RunId,
        response: { 200: RunView, ...problems(404, 422) }
      }
    },
    async (request) => view(await runOf(request.params.id, request))
  )

  app.get(
    '/runs/:id/events',
    {
      config: OF_A_RUN,
      // The service's own limit is for answers that are made first and then sent.
      handlerTimeout: 2 * LONGEST_STREAM_MS,
      schema: {
        tags: ['Integrations'],
        summary:
          'The same as server-sent events: at once, then at least every second while it works, until it has ended',
        params: RunId,
        headers: Type.Object({
          'last-event-id': Type.Optional(
            Type.String({
              maxLength: 64,
              description: 'The id of the last event that was read: what it told is not told again'
            })
          )
        }),
        response: {
          200: {
            description: 'Events `progress`, and `end` as the last one; their data is the run',
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
            description:
              'The run has ended and the last event is known: there is nothing to come back for'
          }),
          ...problems(404, 422)
        }
      }
    },
    async (request, reply) => {
      const {
        params,
        headers: { 'last-event-id': known },
        method,
        signal
      } = request
      const run = await runOf(params.id, request)
      if (isTold(run, known)) return await reply.code(204).send(null)
      const isOver = () => signal.aborted || app.isDraining()
      const stream = Readable.from(
        method === 'HEAD'
          ? []
          : events(
              run,
              async () => await runs.get(run.id, provider.id),
              known,
              isOver,
              async () => await request.isStillAdmitted()
            )
      )
      return await reply
        .headers({
          'content-type': 'text/event-stream; charset=utf-8',
          'x-accel-buffering': 'no',
          // A service that stops would wait for whatever keeps its connection alive.
          connection: 'close'
        })
        .send(stream)
    }
  )

  app.delete(
    '/runs/:id',
    {
      config: { access: { scope: 'sync:write', owner: 'itself' } },
      schema: {
        tags: ['Integrations'],
        summary: 'Cancel a run; what it has copied stays',
        params: RunId,
        response: { 200: RunView, ...problems(400, 404, 409, 413, 415, 422) }
      }
    },
    async (request) => {
      const { id } = await runOf(request.params.id, request)
      await app.sync.cancel(id)
      return view(await runOf(request.params.id, request))
    }
  )

  async function owner(ownerId: string | undefined, request: FastifyRequest): Promise<number> {
    const found = await ownerOf(ownerId, request.ownUser())
    if (found === undefined) throw new AppError('user_not_found', 'There is no user yet.')
    return found
  }

  async function runOf(id: string, request: FastifyRequest): Promise<Run> {
    const run = await runs.get(Number(id), provider.id)
    if (run === undefined || (request.ownUser() ?? run.ownerId) !== run.ownerId) {
      throw new AppError('run_not_found', `No ${provider.title} run has this id.`)
    }
    return run
  }
}
