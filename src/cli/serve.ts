import { setTimeout as sleep } from 'node:timers/promises'
import closeWithGrace from 'close-with-grace'
import type { FastifyInstance } from 'fastify'
import { buildApp } from '../app.ts'
import packageJson from '../../package.json' with { type: 'json' }
import { listSecretVariables } from '../config/aliases.ts'
import { readCommit } from '../lib/build-info.ts'
import { createLogOutput, type LogOutput } from '../lib/log-output.ts'
import { builtInProviders } from '../providers/index.ts'
import { defineCommand } from './command.ts'
import { listenForReloadSignal, RELOAD_SIGNAL } from './reload-signal.ts'
import { listenForStopSignals, STOP_SIGNAL_NAMES } from './stop-signals.ts'

/** At the end of the process, for the reader of the log. */
const FLUSH_TIMEOUT_MS = 2_000
/** The same after the grace, so that `docker stop` does not kill the process before its last line. */
const LATE_FLUSH_TIMEOUT_MS = 1_000

export const serve = defineCommand({
  description:
    'Start the service. Settings come from the environment and from `.env` (docs/settings.md).',
  options: {},
  examples: [['', 'Start on 127.0.0.1:3001 with a SQLite database in the working directory.']],
  async run() {
    const log = createLogOutput()
    process.on('exit', log.flushSync)
    let stop = (_reason: string): void => process.exit(0)
    let endNow = (_signal: string, exitCode: number): void => process.exit(exitCode)
    listenForStopSignals({
      stop: (reason) => {
        stop(reason)
      },
      endNow: (signal, exitCode) => {
        endNow(signal, exitCode)
      }
    })
    const app = await startApp(log, listenForReloadSignal())
    log.isSynchronous = app.config.logSync
    log.onRecovered = (count) => {
      app.log.warn(
        { event: 'log_lines_dropped', dropped_lines: count },
        'Nobody read the log, or its disk was full: some lines are lost.'
      )
    }
    logStart(app)
    let isStopping = false
    let stopReason = 'error'
    // After listening: its handlers end the process with 0, and a port in use must end it with 1.
    const { close } = closeWithGrace(
      { delay: false, logger: false, skip: [...STOP_SIGNAL_NAMES, RELOAD_SIGNAL] },
      async ({ err, signal }) => {
        isStopping = true
        if (err !== undefined) app.log.fatal({ event: 'process_error', err })
        await drain(app, log, signal ?? stopReason)
      }
    )
    stop = (reason) => {
      if (isStopping) return
      stopReason = reason
      close()
    }
    endNow = (signal, exitCode) => {
      app.log.warn({ event: 'stop_forced', signal }, 'The process ends without waiting.')
      process.exit(exitCode)
    }
  }
})

/** @param onBuilt called before the app listens */
async function startApp(
  log: LogOutput,
  onBuilt: (app: FastifyInstance) => void
): Promise<FastifyInstance> {
  try {
    const app = await buildApp({ logger: log })
    removeSecretsFromEnvironment()
    onBuilt(app)
    await app.listen({ host: app.config.host, port: app.config.port })
    return app
  } catch (error) {
    // A write that waits for a reader would keep the process alive. The exit code is set until then.
    if ((await log.flush(FLUSH_TIMEOUT_MS)) > 0) setImmediate(() => process.exit())
    throw error
  }
}

/** One line with what an operator compares between instances and versions. */
function logStart(app: FastifyInstance): void {
  const { config, connectionCapacity } = app
  app.log.info(
    {
      event: 'service_started',
      version: packageJson.version,
      commit: readCommit(),
      node: process.versions.node,
      engine: config.databaseUrl.startsWith('sqlite') ? 'sqlite' : 'postgres',
      mode: config.production ? 'production' : 'development',
      access: config.publicAccess ? 'public' : 'protected',
      docs: config.publicDocs ? 'open' : 'closed',
      sandbox: !config.production,
      max_connections: connectionCapacity.max,
      open_files_limit: connectionCapacity.openFilesLimit
    },
    'The service has started.'
  )
}

/**
 * Answers the open requests and closes the service.
 *
 * @throws Error if requests were still open at the end of the grace: exit code 1
 */
async function drain(app: FastifyInstance, log: LogOutput, reason: string): Promise<void> {
  const startedAt = performance.now()
  const { delayMs, graceMs } = app.config.shutdown
  app.log.info(
    { event: 'service_stopping', reason, delay_ms: delayMs, grace_ms: graceMs },
    'The service stops: it reports 503 on /healthz, then answers the open requests.'
  )
  const isComplete = await Promise.race([
    app.close().then(
      () => true,
      (err: unknown) => {
        app.log.error({ event: 'stop_error', err }, 'The service could not close everything.')
        return false
      }
    ),
    sleep(delayMs + graceMs, false, { ref: false })
  ])
  app.log[isComplete ? 'info' : 'warn'](
    {
      event: 'service_stopped',
      reason,
      duration_ms: Math.round(performance.now() - startedAt),
      complete: isComplete,
      dropped_lines: log.droppedCount
    },
    isComplete
      ? 'The service has stopped.'
      : 'SHUTDOWN_GRACE is over: the connections that are still open are cut.'
  )
  const lostCount = await log.flush(isComplete ? FLUSH_TIMEOUT_MS : LATE_FLUSH_TIMEOUT_MS)
  if (lostCount > 0) process.stderr.write(`${lostCount} log lines are lost: nobody read them.\n`)
  if (!isComplete) throw new Error('Requests were cut.')
}

/**
 * Child processes, packages and diagnostic reports read the environment. The first state of it stays
 * in /proc/<pid>/environ, for this user and root (docs/deployment.md#the-machine).
 */
function removeSecretsFromEnvironment(): void {
  for (const name of listSecretVariables(builtInProviders)) {
    Reflect.deleteProperty(process.env, name)
  }
  if (process.report !== undefined) process.report.excludeEnv = true
}
