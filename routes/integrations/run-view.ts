import { Type, type Static } from '@sinclair/typebox'
import { exampleProvider } from '../../src/providers/index.ts'
import { Id, Nullable, Timestamp } from '../../src/http/schemas.ts'
import type { SyncRun } from '../../src/store/repositories/sync-runs.ts'

export const RUN_STATES = [
  'queued',
  'running',
  'parked',
  'succeeded',
  'partial',
  'failed',
  'cancelled'
] as const
const createCountSchema = (description: string) =>
  Type.Integer({ minimum: 0, description, example: 0 })

export const RunStateSchema = Type.Union(
  RUN_STATES.map((state) => Type.Literal(state)),
  {
    description:
      '`parked`: continues at `next_run_at` · `partial`: some items were not ' +
      'copied, see `error` and `failures` · `failed`: no items were copied · ' +
      '`cancelled`: ended by a caller'
  }
)

export const RunResponse = Type.Object(
  {
    id: Id,
    product: Type.String({ example: exampleProvider.id }),
    owner_id: Id,
    mode: Type.String({
      description: '`due`, `incremental` or `full`; see the `mode` parameter',
      example: 'due'
    }),
    state: RunStateSchema,
    counts: Type.Object(
      {
        seen: createCountSchema('Items read from Atlassian'),
        added: createCountSchema('Items added, or restored after a deletion'),
        changed: createCountSchema('Items updated'),
        unchanged: createCountSchema('Items that were already up to date'),
        removed: createCountSchema('Items deleted because Atlassian no longer has them'),
        held: createCountSchema('Deletions on hold because the listing shrank too much'),
        skipped: createCountSchema('Invalid items'),
        upstream_calls: createCountSchema('Requests sent to Atlassian'),
        points: createCountSchema('Points of the hourly quota that these requests cost')
      },
      { title: 'SyncRunCounts' }
    ),
    progress: Nullable(
      Type.Object(
        {
          collection: Type.String({ example: 'pages' }),
          site: Type.String({
            description: 'cloudId of the site',
            example: '8f0c1d3e-2222-4b4b-9a9a-000000000001'
          }),
          done: createCountSchema('Items read so far'),
          expected: Nullable(
            Type.Integer({
              description: 'Approximate total, if known',
              example: 1200
            })
          )
        },
        { title: 'SyncRunProgress' }
      )
    ),
    failures: Type.Array(
      Type.Object(
        {
          collection: Type.String({ example: 'pages' }),
          site: Type.String({ example: '8f0c1d3e-2222-4b4b-9a9a-000000000001' }),
          remote_id: Nullable(
            Type.String({ description: '`null`: the whole collection', example: '302737' })
          ),
          code: Type.String({ example: 'item_invalid' }),
          detail: Type.String({ example: 'Its space is not visible to this account.' })
        },
        { title: 'SyncRunFailure' }
      ),
      { description: 'The first 100 failures' }
    ),
    error: Nullable(
      Type.Object(
        {
          code: Type.String({ example: 'upstream_timeout' }),
          detail: Type.String({ example: 'Atlassian did not respond in time.' })
        },
        { title: 'SyncRunError' }
      )
    ),
    created_at: Timestamp,
    started_at: Nullable(Timestamp),
    finished_at: Nullable(Timestamp),
    next_run_at: Nullable({ ...Timestamp, description: 'When a parked run continues' }),
    duration_ms: Nullable(Type.Integer({ description: 'From start to end', example: 1200 }))
  },
  { title: 'SyncRun' }
)
export type RunResponse = Static<typeof RunResponse>

export function toRunResponse(run: SyncRun): RunResponse {
  const { seen, added, changed, removed, held, skipped } = run
  return {
    id: run.id,
    product: run.provider,
    owner_id: run.ownerId,
    mode: run.mode,
    state: run.state,
    counts: {
      seen,
      added,
      changed,
      unchanged: seen - added - changed,
      removed,
      held,
      skipped,
      upstream_calls: run.calls,
      points: run.points
    },
    progress: run.progress,
    failures: run.failures.map(({ remoteId, ...failure }) => ({ ...failure, remote_id: remoteId })),
    error: run.errorCode === null ? null : { code: run.errorCode, detail: run.errorDetail ?? '' },
    created_at: run.createdAt.toISOString(),
    started_at: run.startedAt?.toISOString() ?? null,
    finished_at: run.finishedAt?.toISOString() ?? null,
    next_run_at: run.parkedUntil?.toISOString() ?? null,
    duration_ms:
      run.startedAt === null || run.finishedAt === null
        ? null
        : run.finishedAt.getTime() - run.startedAt.getTime()
  }
}
