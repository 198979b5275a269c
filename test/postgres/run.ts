import { spawn } from 'node:child_process'
import { startPostgresServer } from './server.ts'

/** What is the same with every database, or starts both by itself, runs once (`test`, `test:long`). */
const EXCLUDED = [
  'test/{clients,config,lib,log,multi-instance,openapi}/**',
  'test/{operations,packaging,products,repo,sandbox,specs}/**',
  'test/auth/{front-end,no-secrets-in-urls,outcome-pages,redirects,settings}.test.ts',
  'test/cli/{json,progress,sandbox,usage}.*.ts',
  'test/connections/outbound-{links,redirects}.long.ts',
  'test/fuzz/{injection,paths,raw,redirects,text}.*.ts',
  'test/limits/security-headers.test.ts',
  'test/process/{clock,drain,signals}.long.ts',
  'test/process/{build,dist,npm,proxies,quickstart}.test.ts',
  'test/rate-budget/{headers,pacing,points,refusals}.test.ts',
  'test/store/{postgres,sqlite}.long.ts',
  'test/store/{database-probe,sqlite-file}.test.ts',
  'test/store/admin/{copy,crash,migrate,refused,restore,restore-drill}.long.ts',
  'test/sync/{backoff,clocks,time-zones}.long.ts',
  'test/sync/{answers-large-pages,answers-loops,look-up,planner}.test.ts',
  'test/upgrade/{fixtures,make-fixture,rolling-upgrade}.*.ts',
  'test/vault/{keyring,startup,vault}.*.ts'
]
const SUITE = [
  ...['tap', '--disable-coverage', '--timeout=600'],
  ...['test', 'long'].map((kind) => `--include=test/**/*.${kind}.ts`),
  ...EXCLUDED.map((pattern) => `--exclude=${pattern}`)
]

/**
 * `node test/postgres/run.ts COMMAND…` runs the command with a temporary PostgreSQL server;
 * TEST_POSTGRES has its URL. Without a command: the tests that depend on the database.
 */
const server = await startPostgresServer()
const [command = '', ...args] = process.argv.length > 2 ? process.argv.slice(2) : SUITE
const child = spawn(command, args, {
  stdio: 'inherit',
  env: { ...process.env, TEST_POSTGRES: server.url('postgres') }
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    child.kill(signal)
  })
}
process.exitCode = await new Promise<number>((resolve) => {
  child.once('exit', (code) => {
    resolve(code ?? 1)
  })
})
await server.remove()
