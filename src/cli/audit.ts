import { verifyAuditChain } from '../store/audit-verify.ts'
import { loadSettings } from '../config/load.ts'
import { StartError } from '../lib/errors.ts'
import { usageError, defineCommand, withStore } from './command.ts'
import type { Store } from '../store/index.ts'

const HELP = `npm run audit -- list [--user ID] [--action NAME] [--limit 100]   what was done, newest first, a line of JSON each
npm run audit -- verify                                            whether every row is as it was written; names the first that is not
npm run audit -- purge --days N                                    forget what is older than N days
`
const DAY_MS = 86_400_000

/** `npm run audit`: reads the same settings as the service. */
await defineCommand(
  HELP,
  ['user', 'action', 'limit', 'days'],
  async ([command, ...rest], { user, action, limit = '100', days }) => {
    if (rest.length > 0) throw usageError(HELP)
    if (command === 'list') {
      await runWithStore(async ({ audit }) => {
        for (const row of await audit.list(
          { userId: user === undefined ? undefined : parseInteger('--user', user), action },
          parseInteger('--limit', limit)
        )) {
          console.log(JSON.stringify(row))
        }
      })
    } else if (command === 'verify') await runWithStore(verifyTrail)
    else if (command === 'purge' && days !== undefined) {
      await runWithStore(async (store) => {
        await purgeEntries(store, parseInteger('--days', days))
      })
    } else throw usageError(HELP)
  }
)

async function runWithStore(command: (store: Store) => Promise<void>): Promise<void> {
  const { config } = await loadSettings(process.env)
  await withStore(config, command)
}

async function verifyTrail({ audit }: Store): Promise<void> {
  const result = await verifyAuditChain(audit)
  if ('problem' in result) throw new StartError([result.problem], 1)
  console.log(
    `${result.rows} rows are as they were written. The last one is ${result.seq}, with the hash ${result.hash || '-'}.`
  )
}

async function purgeEntries({ audit }: Store, days: number): Promise<void> {
  console.log(
    `${await audit.purge(new Date(Date.now() - days * DAY_MS), { action: 'audit_purged', detail: { days } })} rows are forgotten.`
  )
}

function parseInteger(name: string, value: string): number {
  if (!/^\d{1,6}$/.test(value)) throw new StartError([`${name} takes a whole number.`], 2)
  return Number(value)
}
