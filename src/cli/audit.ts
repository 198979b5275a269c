import { defineCommand, JSON_OPTION, parseInteger, printResult } from './command.ts'
import { EXIT_CODES } from './exit.ts'
import { withStore } from './operator.ts'
import { loadSettings } from '../config/load.ts'
import { StartError } from '../lib/errors.ts'
import { formatNumber } from '../lib/formats.ts'
import { verifyAuditChain } from '../store/audit-verify.ts'
import type { Store } from '../store/index.ts'

const DAY_MS = 86_400_000
const INTEGER_RULE = 'must be a whole number'

export const listEntries = defineCommand({
  description: 'List audit entries, newest first: one line of JSON for each.',
  options: {
    user: {
      flags: '--user <id>',
      description: 'Only entries about this user.',
      rule: INTEGER_RULE,
      parse: parseInteger
    },
    action: { flags: '--action <name>', description: 'Only entries with this action.' },
    limit: {
      flags: '--limit <count>',
      description: 'The number of entries.',
      default: '100',
      rule: INTEGER_RULE,
      parse: parseInteger
    },
    json: { ...JSON_OPTION, description: 'Print one JSON array.' }
  },
  examples: [
    ['--user 42 --limit 20', 'The newest 20 entries about user 42.'],
    ['--action api_key_created', 'Every API key that was created.']
  ],
  usesDatabase: true,
  async run({ user, action, limit, json }) {
    const rows = await runWithStore(
      async ({ audit }) => await audit.list({ userId: user, action }, limit)
    )
    if (json) return printResult(true, rows, '')
    for (const row of rows) console.log(JSON.stringify(row))
  }
})

export const verifyTrail = defineCommand({
  description:
    'Verify the hash chain of the audit trail: every row is as it was written, and none is missing.',
  options: { json: JSON_OPTION },
  examples: [['', 'If the trail was changed, name the first bad row and exit with code 1.']],
  usesDatabase: true,
  async run({ json }) {
    const result = await runWithStore(async ({ audit }) => await verifyAuditChain(audit))
    if ('problem' in result) throw new StartError([result.problem], EXIT_CODES.failure)
    const { rows, seq, hash } = result
    printResult(
      json,
      { rows, seq, hash },
      `${formatNumber(rows)} rows are unchanged. The last one is ${seq}, with the hash ${hash || '-'}.`
    )
  }
})

export const purgeEntries = defineCommand({
  description: 'Delete audit entries that are older than a number of days.',
  options: {
    days: {
      flags: '--days <count>',
      description: 'Keep the entries of this many days.',
      isRequired: true,
      rule: INTEGER_RULE,
      parse: parseInteger
    },
    json: JSON_OPTION
  },
  examples: [['--days 365', 'Keep one year.']],
  usesDatabase: true,
  async run({ days, json }) {
    const purged = await runWithStore(
      async ({ audit }) =>
        await audit.purge(new Date(Date.now() - days * DAY_MS), {
          action: 'audit_purged',
          detail: { days }
        })
    )
    printResult(json, { purged }, `Deleted ${formatNumber(purged)} rows.`)
  }
})

async function runWithStore<Result>(command: (store: Store) => Promise<Result>): Promise<Result> {
  const { config } = await loadSettings(process.env)
  return await withStore(config, command)
}
