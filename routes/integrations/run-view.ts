import { Type, type Static } from '@sinclair/typebox'
import { Id, Nullable, Timestamp } from '../../src/http/schemas.ts'
import type { SyncRun } from '../../src/store/repositories/sync-runs.ts'

const RUN_STATES = [
  'queued',
  'running',
  'parked',
  'succeeded',
  'partial',
  'failed',
  'cancelled'
] as const
const CountSchema = (description: string) => Type.Integer({ minimum: 0, description, example: 0 })

export const RunResponse = Type.Object({
  id: Id,
  product: Type.String({ example: 'jira' }),
  owner_id: Id,
  mode: Type.String({
    description:
      'due: what is due · incremental: what has changed · full: everything, which also finds deletions',
    example: 'due'
  }),
  state: Type.Union(
    RUN_STATES.map((state) => Type.Literal(state)),
    {
      description:
        'parked: it goes on by itself at next_run_at · partial: something was not copied, error and failures say what · failed: nothing was · cancelled: somebody ended it'
    }
  ),
  counts: Type.Object({
    seen: CountSchema('Items read from Atlassian'),
    added: CountSchema('New here, or here again'),
    changed: CountSchema('Different from what was here'),
    unchanged: CountSchema('The same, or older than what is here'),
    removed: CountSchema('Gone at Atlassian, and now here'),
    held: CountSchema('Missing from a listing that shrank too much to be believed'),
    skipped: CountSchema('Items that did not fit'),
    upstream_calls: CountSchema('Requests sent to Atlassian'),
    points: CountSchema('What they cost of the hourly quota')
  }),
  progress: Nullable(
    Type.Object({
      collection: Type.String({ example: 'pages' }),
      site: Type.String({
        description: 'Its cloudId',
        example: '8f0c1d3e-2222-4b4b-9a9a-000000000001'
      }),
      done: CountSchema('Items of it so far'),
      expected: Nullable(
        Type.Integer({
          description: 'About how many there are, where that is known',
          example: 1200
        })
      )
    })
  ),
  failures: Type.Array(
    Type.Object({
      collection: Type.String({ example: 'pages' }),
      site: Type.String({ example: '8f0c1d3e-2222-4b4b-9a9a-000000000001' }),
      remote_id: Nullable(
        Type.String({ description: 'null: the whole collection', example: '302737' })
      ),
      code: Type.String({ example: 'item_invalid' }),
      detail: Type.String({ example: 'It is in no space that can be seen.' })
    }),
    { description: 'The first hundred' }
  ),
  error: Nullable(
    Type.Object({
      code: Type.String({ example: 'upstream_timeout' }),
      detail: Type.String({ example: 'Atlassian did not answer in time.' })
    })
  ),
  created_at: Timestamp,
  started_at: Nullable(Timestamp),
  finished_at: Nullable(Timestamp),
  next_run_at: Nullable({ ...Timestamp, description: 'When a parked run goes on' }),
  duration_ms: Nullable(Type.Integer({ description: 'From its start to its end', example: 1200 }))
})
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
