import { verify } from '../store/audit-verify.ts'
import { loadSettings } from '../config/load.ts'
import { StartError } from '../lib/errors.ts'
import { meaningless, operatorCommand, withStore } from './command.ts'
import type { Store } from '../store/index.ts'

const HELP = `npm run audit -- list [--user ID] [--action NAME] [--limit 100]   what was done, newest first, a line of JSON each
npm run audit -- verify                                            whether every row is as it was written; names the first that is not
npm run audit -- purge --days N                                    forget what is older than N days
`
const DAY_MS = 86_400_000

/** `npm run audit`: reads the same settings as the service. */
await operatorCommand(
  HELP,
  ['user', 'action', 'limit', 'days'],
  async ([command, ...rest], { user, action, limit = '100', days }) => {
    if (rest.length > 0) throw meaningless(HELP)
    if (command === 'list') {
      await inDatabase(async ({ audit }) => {
        for (const row of await audit.list(
          { userId: user === undefined ? undefined : whole('--user', user), action },
          whole('--limit', limit)
        )) {
          console.log(JSON.stringify(row))
        }
      })
    } else if (command === 'verify') await inDatabase(check)
    else if (command === 'purge' && days !== undefined) {
      await inDatabase(async (store) => {
        await purge(store, whole('--days', days))
      })
    } else throw meaningless(HELP)
  }
)

async function inDatabase(command: (store: Store) => Promise<void>): Promise<void> {
  const { config } = await loadSettings(process.env)
  await withStore(config, command)
}

async function check({ audit }: Store): Promise<void> {
  const found = await verify(audit)
  if ('problem' in found) throw new StartError([found.problem], 1)
  console.log(
    `${found.rows} rows are as they were written. The last one is ${found.seq}, with the hash ${found.hash || '-'}.`
  )
}

async function purge({ audit }: Store, days: number): Promise<void> {
  console.log(
    `${await audit.purge(new Date(Date.now() - days * DAY_MS), { action: 'audit_purged', detail: { days } })} rows are forgotten.`
  )
}

function whole(name: string, given: string): number {
  if (!/^\d{1,6}$/.test(given)) throw new StartError([`${name} takes a whole number.`], 2)
  return Number(given)
}
