import type { ErrorCode } from '../../lib/errors.ts'
import type { Tables } from '../../../drizzle/tables.ts'

export type RunMode = 'due' | 'incremental' | 'full'
export type RunState =
  'queued' | 'running' | 'parked' | 'succeeded' | 'partial' | 'failed' | 'cancelled'
/** States of a run that has not ended. */
export const ACTIVE_STATES: readonly RunState[] = ['queued', 'running', 'parked']

/** One failure. Without a remote id, it concerns the whole collection of the site. */
export interface RunFailure {
  collection: string
  site: string
  remoteId: string | null
  code: string
  detail: string
}

/** Progress of the current collection. */
interface CollectionProgress {
  collection: string
  site: string
  done: number
  expected: number | null
}

/** Counts and progress of a run. */
export interface RunCounters {
  seen: number
  added: number
  changed: number
  removed: number
  /** Deletions on hold. */
  held: number
  /** Items that could not be stored. */
  skipped: number
  /** Requests sent to Atlassian, and their points of the hourly quota. */
  calls: number
  points: number
  progress: CollectionProgress | null
  /** The completed parts, as `site/collection`. */
  done: string[]
  failures: RunFailure[]
}

export interface SyncRun extends RunCounters {
  id: number
  ownerId: number
  provider: string
  mode: RunMode
  state: RunState
  worker: string | null
  parkedUntil: Date | null
  errorCode: string | null
  errorDetail: string | null
  createdAt: Date
  startedAt: Date | null
  finishedAt: Date | null
}

/** The result of a run. `cause` is for the log. */
export interface RunOutcome {
  state: 'succeeded' | 'partial' | 'failed'
  code?: ErrorCode
  detail?: string
  cause?: unknown
}

type SyncRunRow = Tables['runs']['$inferSelect']

/** Parses the JSON columns of a stored run. */
export const toRun = ({ progress, done, failures, ...row }: SyncRunRow): SyncRun => ({
  ...row,
  mode: row.mode as RunMode,
  state: row.state as RunState,
  progress: progress === null ? null : (JSON.parse(progress) as CollectionProgress),
  done: JSON.parse(done) as string[],
  failures: JSON.parse(failures) as RunFailure[]
})

/** The columns that store counts and progress. */
export const toColumns = ({ progress, done, failures, ...counts }: RunCounters) => ({
  ...counts,
  progress: progress === null ? null : JSON.stringify(progress),
  done: JSON.stringify(done),
  failures: JSON.stringify(failures)
})
