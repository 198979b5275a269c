import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'
import {
  formatDuration,
  createRunProgress,
  formatNumber,
  stripControlChars,
  formatTime,
  type TerminalOutput
} from './terminal.ts'
import { createSyncClient, type ApiRun, type SyncClient } from './sync-client.ts'
import { isHttpBaseUrl } from '../config/formats.ts'
import { resolveSettings } from '../config/aliases.ts'
import { SERVICE_SETTINGS } from '../config/schema.ts'
import { StartError } from '../lib/errors.ts'
import { PRODUCT_TITLES } from '../model/products.ts'
import { reportStartError } from './exit.ts'

const HELP = `npm run sync -- --product jira|confluence [options]   copy what the connection reaches, and watch it
  --owner N               whose connection; default: the first user
  --mode M                due (default) · incremental: what has changed · full: everything, which also finds deletions
  --no-wait               do not wait for a run that Atlassian's rate limit has put aside
  --cancel                end the run that is under way instead
  --url http://…          the service; default: PUBLIC_URL, or where HOST and PORT say

A run that is under way already is joined. Ctrl-C stops watching and leaves it running.
Ends with 0: all is copied · 1: failed, cancelled or refused · 2: wrong options · 3: partly copied, or put aside and not waited for
`
const MODES = ['due', 'incremental', 'full']
const MAX_FAILURES_SHOWN = 10
const EXIT_CODE_BY_SIGNAL = { SIGINT: 130, SIGTERM: 143 } as const

interface SyncCommandOptions {
  product: keyof typeof PRODUCT_TITLES
  owner: string | undefined
  mode: string
  shouldWait: boolean
  shouldCancel: boolean
  base: string
}

/** `npm run sync`: asks a running service, as anybody could, and changes nothing by itself. */
const abortController = new AbortController()
const runProgress = createRunProgress(process.stderr as TerminalOutput)
let options: SyncCommandOptions | undefined
let watchedRun: ApiRun | undefined
try {
  if (existsSync('.env')) process.loadEnvFile('.env')
  options = parseSyncOptions(process.argv.slice(3))
  if (options === undefined) console.log(HELP)
  else {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        abortController.abort(signal)
      })
    }
    const client = createSyncClient(options.base, abortController.signal)
    process.exitCode = await (options.shouldCancel ? cancelRun : runSync)(client, options)
  }
  runProgress.finish()
} catch (error) {
  runProgress.finish()
  process.exitCode =
    abortController.signal.aborted && options !== undefined
      ? reportDetached(options)
      : reportStartError(error)
}

/** @returns undefined where help is wanted. @throws StartError before anything is asked */
function parseSyncOptions(args: string[]): SyncCommandOptions | undefined {
  const { help, product, owner, mode, url, cancel, 'no-wait': noWait } = parseArguments(args)
  if (help === true) return undefined
  if (product === undefined || !Object.hasOwn(PRODUCT_TITLES, product)) {
    throw usageError(`--product must be ${Object.keys(PRODUCT_TITLES).join(' or ')}.`)
  }
  if (
    owner !== undefined &&
    !(/^[1-9]\d{0,15}$/.test(owner) && Number.isSafeInteger(Number(owner)))
  ) {
    throw usageError('--owner must be the id of a user, a positive whole number.')
  }
  if (mode !== undefined && !MODES.includes(mode)) {
    throw usageError(`--mode must be ${MODES.join(', ')}.`)
  }
  if (url !== undefined && !isHttpBaseUrl(url)) {
    throw usageError('--url must be an http(s) address without credentials, query or fragment.')
  }
  if (cancel === true && (mode !== undefined || noWait === true)) {
    throw usageError('--cancel ends a run; --mode and --no-wait are about one that is started.')
  }
  return {
    product: product as SyncCommandOptions['product'],
    owner,
    mode: mode ?? 'due',
    shouldWait: noWait !== true,
    shouldCancel: cancel === true,
    base: new URL(url ?? resolveServiceUrl()).href.replace(/(?<!\/)\/+$/, '')
  }
}

function parseArguments(args: string[]) {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  try {
    return parseArgs({
      args,
      options: {
        product: text,
        owner: text,
        mode: text,
        url: text,
        cancel: flag,
        'no-wait': flag,
        help: flag
      }
    }).values
  } catch (error) {
    throw usageError((error as Error).message)
  }
}

function usageError(message: string): StartError {
  return new StartError([`${message}\n\n${HELP}`], 2)
}

/** Where the settings say that the service is. Only these are read: whoever watches needs no keys. */
function resolveServiceUrl(): string {
  const {
    HOST = '127.0.0.1',
    PORT = String(SERVICE_SETTINGS.PORT.default),
    PUBLIC_URL
  } = resolveSettings(process.env, ['HOST', 'PORT', 'PUBLIC_URL'], []).values
  if (PUBLIC_URL !== undefined) {
    if (!isHttpBaseUrl(PUBLIC_URL)) {
      throw new StartError([`PUBLIC_URL ${SERVICE_SETTINGS.PUBLIC_URL.rule}.`], 78)
    }
    return PUBLIC_URL
  }
  if (PORT === '0') {
    throw new StartError(
      ['PORT=0 lets the service take any port. Give the one that it has taken with --url.'],
      78
    )
  }
  const host =
    { '0.0.0.0': '127.0.0.1', '::': '[::1]' }[HOST] ?? (HOST.includes(':') ? `[${HOST}]` : HOST)
  const address = `http://${host}:${PORT}`
  if (!/^\d+$/.test(PORT) || !isHttpBaseUrl(address)) {
    throw new StartError(
      ['HOST and PORT make no address. Give the one of the service with --url.'],
      78
    )
  }
  return address
}

function buildRunsPath({ product }: SyncCommandOptions): string {
  return `/integrations/${product}/sync`
}

function buildOwnerQuery({ owner }: SyncCommandOptions, query: Record<string, string>): string {
  return String(
    new URLSearchParams({ ...(owner === undefined ? {} : { owner_id: owner }), ...query })
  )
}

async function runSync(client: SyncClient, options: SyncCommandOptions): Promise<number> {
  const { mode, product, shouldWait } = options
  watchedRun = await client.requestJson<ApiRun>(
    'POST',
    `${buildRunsPath(options)}?${buildOwnerQuery(options, { mode })}`
  )
  const { id, owner_id: owner, started_at: startedAt } = watchedRun
  const hasJoined = startedAt !== null || watchedRun.mode !== mode
  runProgress.log(
    `${PRODUCT_TITLES[product]} of user ${owner}: run ${id}${hasJoined ? `, which was under way already${watchedRun.mode === mode ? '' : ` (mode ${watchedRun.mode})`}` : ''}.`
  )
  let parkedUntil: string | null = null
  for await (const run of client.streamRun(`${buildRunsPath(options)}/runs/${id}/events`, () => {
    runProgress.log('The service is not there at the moment; trying again.')
  })) {
    watchedRun = run
    if (run.state === 'parked' && run.next_run_at !== parkedUntil) {
      runProgress.log(
        `${run.error?.detail ?? 'It is put aside.'} That is at ${formatTime(run.next_run_at)}.`
      )
    }
    parkedUntil = run.next_run_at
    runProgress.update(run)
    if (run.state === 'parked' && !shouldWait) break
  }
  runProgress.finish()
  return reportResult(watchedRun, options)
}

/** Says how it ended. @returns the exit code */
function reportResult(run: ApiRun, options: SyncCommandOptions): number {
  const { id, state, counts, error, failures, duration_ms: ms } = run
  const outcome = {
    succeeded: 'succeeded',
    partial: 'has not copied everything',
    failed: 'failed',
    cancelled: 'was cancelled',
    parked: `is put aside until ${formatTime(run.next_run_at)} and goes on by itself`,
    queued: 'waits',
    running: 'is under way'
  }[state]
  console.log(
    `Run ${id} ${outcome}: ${formatNumber(counts.seen)} read, ${formatNumber(counts.added)} added, ${formatNumber(counts.changed)} changed, ${formatNumber(counts.unchanged)} unchanged, ${formatNumber(counts.removed)} removed; ${formatNumber(counts.upstream_calls)} calls${ms === null ? '' : `, ${formatDuration(ms)}`}.`
  )
  if (error !== null && state !== 'parked') console.log(stripControlChars(error.detail))
  for (const { collection, site, remote_id: item, detail } of failures.slice(
    0,
    MAX_FAILURES_SHOWN
  )) {
    console.log(
      stripControlChars(
        `  ${collection}${item === null ? '' : ` ${item}`} (site ${site}): ${detail}`
      )
    )
  }
  if (failures.length > MAX_FAILURES_SHOWN) {
    console.log(`  and more: ${options.base}${buildRunsPath(options)}/runs/${id}`)
  }
  return state === 'succeeded' ? 0 : state === 'partial' || state === 'parked' ? 3 : 1
}

async function cancelRun(client: SyncClient, options: SyncCommandOptions): Promise<number> {
  const [newestRun] = await client.requestJson<ApiRun[]>(
    'GET',
    `${buildRunsPath(options)}/runs?${buildOwnerQuery(options, { limit: '1' })}`
  )
  if (newestRun === undefined || !['queued', 'running', 'parked'].includes(newestRun.state)) {
    throw new StartError([`No ${PRODUCT_TITLES[options.product]} run is under way.`], 1)
  }
  const { id, error } = await client.requestJson<ApiRun>(
    'DELETE',
    `${buildRunsPath(options)}/runs/${newestRun.id}`
  )
  console.log(`Run ${id}: ${stripControlChars(error?.detail ?? 'cancelled.')}`)
  return 0
}

/** Says what becomes of the run that is no longer watched. @returns the exit code */
function reportDetached(options: SyncCommandOptions): number {
  const command = `npm run sync -- --product ${options.product}${options.owner === undefined ? '' : ` --owner ${options.owner}`}`
  console.error(
    watchedRun === undefined
      ? 'Nothing was waited for.'
      : `Run ${watchedRun.id} goes on without being watched. To watch it again: ${command} · to end it: ${command} --cancel`
  )
  return EXIT_CODE_BY_SIGNAL[abortController.signal.reason as keyof typeof EXIT_CODE_BY_SIGNAL]
}
