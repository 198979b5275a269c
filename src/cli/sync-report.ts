import type { ProgressState } from './progress.ts'
import type { ApiRun } from './sync-client.ts'
import { formatDuration, formatTime, replaceControlChars } from './terminal.ts'
import { formatNumber } from '../lib/formats.ts'

const MAX_FAILURES_SHOWN = 10

/** The progress of an active run. */
export function describeProgress(run: ApiRun): ProgressState {
  const { state, progress, counts } = run
  const { added, changed, removed, held, skipped } = counts
  const changes = [
    `${formatNumber(added)} added`,
    `${formatNumber(changed)} changed`,
    `${formatNumber(removed)} removed`,
    ...(held > 0 ? [`${formatNumber(held)} held`] : []),
    ...(skipped > 0 ? [`${formatNumber(skipped)} skipped`] : [])
  ].join(', ')
  const step = `${state} ${progress?.collection}`
  if (state === 'parked') {
    return { step, text: `parked until ${formatTime(run.next_run_at)} · ${changes}` }
  }
  if (progress === null) {
    return { step, text: `${state === 'queued' ? 'queued' : 'starting'} · ${changes}` }
  }
  const { collection, done, expected } = progress
  const label = `${replaceControlChars(collection)} ${formatNumber(done)}`
  if (expected === null || expected < 1) return { step, text: `${label} · ${changes}` }
  const text = `${label} of ${formatNumber(expected)} · ${changes}`
  // `expected` may be an estimate, so `done` may exceed it; the bar stops at 100 %.
  return { step, text, share: done / expected }
}

/**
 * The result of a run that has ended, or is no longer waited for.
 *
 * @param runUrl where the API has the whole list of failures
 */
export function formatResult(run: ApiRun, runUrl: string): string {
  const { id, counts, error, failures, duration_ms: ms } = run
  const totals = [
    `${formatNumber(counts.seen)} read`,
    `${formatNumber(counts.added)} added`,
    `${formatNumber(counts.changed)} changed`,
    `${formatNumber(counts.unchanged)} unchanged`,
    `${formatNumber(counts.removed)} removed`
  ].join(', ')
  const duration = ms === null ? '' : `, ${formatDuration(ms)}`
  const lines = [
    `Run ${id} ${describeOutcome(run)}: ${totals}; ${formatNumber(counts.upstream_calls)} calls${duration}.`
  ]
  if (error !== null && run.state !== 'parked') lines.push(error.detail)
  for (const { collection, site, remote_id: item, detail } of failures.slice(
    0,
    MAX_FAILURES_SHOWN
  )) {
    lines.push(`  ${collection}${item === null ? '' : ` ${item}`} (site ${site}): ${detail}`)
  }
  if (failures.length > MAX_FAILURES_SHOWN) lines.push(`  and more: ${runUrl}`)
  return lines.map(replaceControlChars).join('\n')
}

function describeOutcome({ state, next_run_at: nextRunAt }: ApiRun): string {
  return {
    succeeded: 'succeeded',
    partial: 'succeeded partly',
    failed: 'failed',
    cancelled: 'was cancelled',
    parked: `is parked until ${formatTime(nextRunAt)} and resumes by itself`,
    queued: 'is queued',
    running: 'is running'
  }[state]
}
