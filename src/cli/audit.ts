import { defineCommand, JSON_OPTION, parseInteger, printResult } from './command.ts'
import { EXIT_CODES } from './exit.ts'
import { runWithStore, withVault } from './operator.ts'
import { loadStoreSettings } from '../config/load.ts'
import { createAuditSigner } from '../grants/signing-keys.ts'
import { StartError } from '../lib/errors.ts'
import { formatNumber } from '../lib/formats.ts'
import type { Anchor } from '../store/audit-chain.ts'
import { verifyAuditChain } from '../store/audit-verify.ts'

const DAY_MS = 86_400_000
const EXPORT_BATCH_SIZE = 1_000
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
    'Verify the chain of the audit trail with the vault keys: every row is as it was written, and\n' +
    'none is missing.',
  options: {
    anchor: {
      flags: '--anchor <count:hash>',
      description: 'An anchor that was stored elsewhere; the trail must continue it.',
      rule: 'must be a count and a hash, as `audit export --anchor` prints them',
      parse: parseAnchor
    },
    json: JSON_OPTION
  },
  examples: [
    ['', 'If the trail was changed, name the first bad row and exit with code 1.'],
    ['--anchor 812:k1.hKBuVvI2VxN0c3OGlTYpCDZJ6pQdYpOpJ8q7WqkY0fo', 'The first 812 rows too.']
  ],
  usesDatabase: true,
  async run({ anchor, json }) {
    const settings = await loadStoreSettings(process.env)
    const result = await withVault(settings, async ({ audit, vaultKeys }, vault) => {
      const signer = await createAuditSigner(vaultKeys, settings.keys.keyring, vault)
      return await verifyAuditChain(audit, signer, anchor)
    })
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
      async ({ audit }) => await audit.purge(new Date(Date.now() - days * DAY_MS), { days })
    )
    printResult(json, { purged }, `Deleted ${formatNumber(purged)} rows.`)
  }
})

export const exportEntries = defineCommand({
  description:
    'Print audit entries, oldest first, one line of JSON for each, and the anchor last: the number\n' +
    'of entries ever written and the hash of the last one. Store the anchor elsewhere.',
  options: {
    after: {
      flags: '--after <count>',
      description: 'Only entries behind this one, such as the count of the previous anchor.',
      default: '0',
      rule: INTEGER_RULE,
      parse: parseInteger
    },
    anchor: { flags: '--anchor', description: 'Print only the anchor, as `<count>:<hash>`.' }
  },
  examples: [
    ['> audit.ndjson', 'The whole trail.'],
    ['--after 812 >> audit.ndjson', 'What was written since.'],
    ['--anchor', 'What `audit verify --anchor` compares the trail with later.']
  ],
  usesDatabase: true,
  async run({ after, anchor: isAnchorOnly }) {
    await runWithStore(async ({ audit }) => {
      const { seq: count, hash } = (await audit.getHead()) ?? { seq: 0, hash: '' }
      if (isAnchorOnly) return console.log(formatAnchor({ count, hash }))
      for (let last = after; last < count;) {
        const rows = await audit.listEntriesAfter(last, EXPORT_BATCH_SIZE)
        for (const row of rows.filter(({ seq }) => seq <= count)) {
          console.log(JSON.stringify({ ...row, at: new Date(row.at) }))
        }
        last = rows.at(-1)?.seq ?? count
      }
      console.log(JSON.stringify({ anchor: { count, hash } }))
    })
  }
})

function formatAnchor({ count, hash }: Anchor): string {
  return `${count}:${hash || '-'}`
}

function parseAnchor(text: string): Anchor | undefined {
  const [, count, hash] = /^(\d{1,15}):([\w.-]{1,100})$/.exec(text) ?? []
  return count === undefined || hash === undefined ? undefined : { count: Number(count), hash }
}
