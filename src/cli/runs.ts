import { RUN_STATES, toRunResponse, type RunResponse } from '../../routes/integrations/run-view.ts'
import { defineCommand, JSON_OPTION, printResult } from './command.ts'
import {
  createChoiceOption,
  LIMIT_OPTION,
  limitRows,
  parseSince,
  PRODUCT_OPTION,
  runFleetCommand,
  USER_OPTION
} from './fleet-options.ts'
import { formatDuration, formatTime, replaceControlChars } from './terminal.ts'

export const listRuns = defineCommand({
  description: 'List the sync runs of all users, newest first. Reads the database.',
  options: {
    state: createChoiceOption('state', 'Only runs in this state', RUN_STATES),
    product: { ...PRODUCT_OPTION, description: `Only this product. ${PRODUCT_OPTION.description}` },
    owner: { ...USER_OPTION, flags: '--owner <id>', description: 'Only the runs of this user.' },
    since: {
      flags: '--since <time>',
      description: 'Only runs created since: 90m, 24h, 7d, or a time such as 2026-11-23T12:00:00Z.',
      rule: 'must be a duration such as 90m, 24h or 7d, or an ISO 8601 time',
      parse: parseSince
    },
    limit: { ...LIMIT_OPTION, default: '50' },
    json: JSON_OPTION
  },
  examples: [
    ['', 'The newest 50 runs.'],
    ['--state failed --since 24h', 'What failed within a day.'],
    ['--state parked --json', 'What waits for Atlassian, for a script.']
  ],
  usesDatabase: true,
  async run({ state, product, owner: ownerId, since, limit, json }) {
    const rows = await runFleetCommand(
      async ({ fleet }) =>
        await fleet.listRuns({ state, product: product?.id, ownerId, since }, limit + 1)
    )
    const runs = limitRows(rows, limit).map(toRunResponse)
    printResult(json, runs, runs.map(formatRun).join('\n') || 'No run matches.')
  }
})

function formatRun(run: RunResponse): string {
  const { seen, added, changed, removed } = run.counts
  return replaceControlChars(
    [
      run.id,
      run.state,
      run.product,
      `user ${run.owner_id}`,
      formatTime(run.created_at),
      run.duration_ms === null ? 'not ended' : formatDuration(run.duration_ms),
      `${seen} seen, ${added} added, ${changed} changed, ${removed} removed`,
      ...(run.error === null ? [] : [run.error.detail])
    ].join('  ')
  )
}
