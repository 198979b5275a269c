import { existsSync } from 'node:fs'
import closeWithGrace from 'close-with-grace'
import { buildApp } from '../app.ts'
import { reportStartError } from './exit.ts'

const SHUTDOWN_TIMEOUT_MS = 10_000

// Files that the service makes, the database above all, are its own.
process.umask(0o077)

try {
  if (existsSync('.env')) process.loadEnvFile('.env')
  const app = await buildApp({ logger: true })
  // First of all: a port that is taken has to end with a code that says so, and the handler below would end with 0.
  await app.listen({ host: app.config.host, port: app.config.port })
  closeWithGrace({ delay: SHUTDOWN_TIMEOUT_MS, logger: false }, async ({ err }) => {
    if (err !== undefined) app.log.fatal({ event: 'process_error', err })
    await app.close()
  })
} catch (error) {
  process.exitCode = reportStartError(error)
}
