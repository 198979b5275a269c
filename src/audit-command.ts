import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { operator } from './audit/operator.ts'
import { verify } from './audit/verify.ts'
import { loadSettings } from './config/load.ts'
import { StartError } from './errors.ts'
import { explain } from './start-problems.ts'
import { openEngine } from './store/engine.ts'
import { createStore, type Store } from './store/index.ts'

const HELP = `npm run audit -- list [--user ID] [--action NAME] [--limit 100]   what was done, newest first, a line of JSON each
npm run audit -- verify                                            whether every row is as it was written; names the first that is not
npm run audit -- purge --days N                                    forget what is older than N days
`
const DAY_MS = 86_400_000

/** `npm run audit`: reads the same settings as the service. */
try {
  if (existsSync('.env')) process.loadEnvFile('.env')
  const text = { type: 'string' } as const
  const { values, positionals } = parseArgs({ args: process.argv.slice(3), allowPositionals: true, options: { user: text, action: text, limit: text, days: text, help: { type: 'boolean', default: false } } })
  const [command, ...rest] = positionals
  const { user, action, limit = '100', days } = values
  if (values.help) console.log(HELP)
  else if (rest.length > 0) throw new StartError([HELP], 2)
  else if (command === 'list') await withStore(async ({ audit }) => { for (const row of await audit.list({ userId: user === undefined ? undefined : whole('--user', user), action }, whole('--limit', limit))) console.log(JSON.stringify(row)) })
  else if (command === 'verify') await withStore(check)
  else if (command === 'purge' && days !== undefined) await withStore(async (store) => { await purge(store, whole('--days', days)) })
  else throw new StartError([HELP], 2)
} catch (error) {
  process.exitCode = (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS') === true ? usage(error as Error) : explain(error)
}

function usage ({ message }: Error): number {
  console.error(`${message}\n\n${HELP}`)
  return 2
}

async function withStore (command: (store: Store) => Promise<void>): Promise<void> {
  const { config } = await loadSettings(process.env)
  const engine = await openEngine(config.databaseUrl, config.database)
  try {
    await command(createStore(engine, Date.now, operator))
  } finally {
    await engine.close()
  }
}

async function check ({ audit }: Store): Promise<void> {
  const found = await verify(audit)
  if ('problem' in found) throw new StartError([found.problem], 1)
  console.log(`${found.rows} rows are as they were written. The last one is ${found.seq}, with the hash ${found.hash || '-'}.`)
}

async function purge ({ audit }: Store, days: number): Promise<void> {
  console.log(`${await audit.purge(new Date(Date.now() - days * DAY_MS), { action: 'audit_purged', detail: { days } })} rows are forgotten.`)
}

function whole (name: string, given: string): number {
  if (!/^\d{1,6}$/.test(given)) throw new StartError([`${name} takes a whole number.`], 2)
  return Number(given)
}
