import { spawn } from 'node:child_process'
import { startPostgresServer } from './server.ts'

/**
 * `node test/postgres/run.ts COMMAND…` runs the command with a temporary PostgreSQL server;
 * TEST_POSTGRES has its URL.
 */
const server = await startPostgresServer()
const [command = '', ...args] = process.argv.slice(2)
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
