import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { clock, createDisplay, number, plain, time, type Output } from './terminal.ts'
import { createService, type Run, type Service } from './sync-client.ts'
import { isWebUrl } from '../config/formats.ts'
import { resolve } from '../config/aliases.ts'
import { Env } from '../config/schema.ts'
import { StartError } from '../lib/errors.ts'
import { PRODUCTS } from '../model/products.ts'
import { explain } from './exit.ts'

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
const FAILURES_SHOWN = 10
const INTERRUPTED = { SIGINT: 130, SIGTERM: 143 } as const

interface Options {
  product: keyof typeof PRODUCTS
  owner: string | undefined
  mode: string
  wait: boolean
  cancel: boolean
  base: string
}

/** `npm run sync`: asks a running service, as anybody could, and changes nothing by itself. */
const leaving = new AbortController()
const display = createDisplay(process.stderr as Output)
let options: Options | undefined
let watched: Run | undefined
try {
  if (existsSync('.env')) process.loadEnvFile('.env')
  options = read(process.argv.slice(3))
  if (options === undefined) console.log(HELP)
  else {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        leaving.abort(signal)
      })
    }
    const service = createService(options.base, leaving.signal)
    process.exitCode = await (options.cancel ? cancel : sync)(service, options)
  }
  display.end()
} catch (error) {
  display.end()
  process.exitCode =
    leaving.signal.aborted && options !== undefined ? left(options) : explain(error)
}

/** @returns undefined where help is wanted. @throws StartError before anything is asked */
function read(args: string[]): Options | undefined {
  const { help, product, owner, mode, url, cancel, 'no-wait': noWait } = parsed(args)
  if (help === true) return undefined
  if (product === undefined || !Object.hasOwn(PRODUCTS, product)) {
    throw wrong(`--product must be ${Object.keys(PRODUCTS).join(' or ')}.`)
  }
  if (
    owner !== undefined &&
    !(/^[1-9]\d{0,15}$/.test(owner) && Number.isSafeInteger(Number(owner)))
  ) {
    throw wrong('--owner must be the id of a user, a positive whole number.')
  }
  if (mode !== undefined && !MODES.includes(mode)) {
    throw wrong(`--mode must be ${MODES.join(', ')}.`)
  }
  if (url !== undefined && !isWebUrl(url)) {
    throw wrong('--url must be an http(s) address without credentials, query or fragment.')
  }
  if (cancel === true && (mode !== undefined || noWait === true)) {
    throw wrong('--cancel ends a run; --mode and --no-wait are about one that is started.')
  }
  return {
    product: product as Options['product'],
    owner,
    mode: mode ?? 'due',
    wait: noWait !== true,
    cancel: cancel === true,
    base: new URL(url ?? configured()).href.replace(/(?<!\/)\/+$/, '')
  }
}

function parsed(args: string[]) {
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
    throw wrong((error as Error).message)
  }
}

function wrong(sentence: string): StartError {
  return new StartError([`${sentence}\n\n${HELP}`], 2)
}

/** Where the settings say that the service is. Only these are read: whoever watches needs no keys. */
function configured(): string {
  const {
    HOST = '127.0.0.1',
    PORT = String(Env.properties.PORT.default),
    PUBLIC_URL
  } = resolve(process.env, ['HOST', 'PORT', 'PUBLIC_URL']).values
  if (PUBLIC_URL !== undefined) {
    if (!isWebUrl(PUBLIC_URL)) {
      throw new StartError([`PUBLIC_URL ${Env.properties.PUBLIC_URL.rule}.`], 78)
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
  if (!/^\d+$/.test(PORT) || !isWebUrl(address)) {
    throw new StartError(
      ['HOST and PORT make no address. Give the one of the service with --url.'],
      78
    )
  }
  return address
}

function runsOf({ product }: Options): string {
  return `/integrations/${product}/sync`
}

function owned({ owner }: Options, query: Record<string, string>): string {
  return String(
    new URLSearchParams({ ...(owner === undefined ? {} : { owner_id: owner }), ...query })
  )
}

async function sync(service: Service, options: Options): Promise<number> {
  const { mode, product, wait } = options
  watched = await service.call<Run>('POST', `${runsOf(options)}?${owned(options, { mode })}`)
  const { id, owner_id: owner, started_at: startedAt } = watched
  const joined = startedAt !== null || watched.mode !== mode
  display.say(
    `${PRODUCTS[product]} of user ${owner}: run ${id}${joined ? `, which was under way already${watched.mode === mode ? '' : ` (mode ${watched.mode})`}` : ''}.`
  )
  let parkedUntil: string | null = null
  for await (const run of service.follow(`${runsOf(options)}/runs/${id}/events`, () => {
    display.say('The service is not there at the moment; trying again.')
  })) {
    watched = run
    if (run.state === 'parked' && run.next_run_at !== parkedUntil) {
      display.say(`${run.error?.detail ?? 'It is put aside.'} That is at ${time(run.next_run_at)}.`)
    }
    parkedUntil = run.next_run_at
    display.show(run)
    if (run.state === 'parked' && !wait) break
  }
  display.end()
  return report(watched, options)
}

/** Says how it ended. @returns the exit code */
function report(run: Run, options: Options): number {
  const { id, state, counts, error, failures, duration_ms: ms } = run
  const says = {
    succeeded: 'succeeded',
    partial: 'has not copied everything',
    failed: 'failed',
    cancelled: 'was cancelled',
    parked: `is put aside until ${time(run.next_run_at)} and goes on by itself`,
    queued: 'waits',
    running: 'is under way'
  }[state]
  console.log(
    `Run ${id} ${says}: ${number(counts.seen)} read, ${number(counts.added)} added, ${number(counts.changed)} changed, ${number(counts.unchanged)} unchanged, ${number(counts.removed)} removed; ${number(counts.upstream_calls)} calls${ms === null ? '' : `, ${clock(ms)}`}.`
  )
  if (error !== null && state !== 'parked') console.log(plain(error.detail))
  for (const { collection, site, remote_id: item, detail } of failures.slice(0, FAILURES_SHOWN)) {
    console.log(
      plain(`  ${collection}${item === null ? '' : ` ${item}`} (site ${site}): ${detail}`)
    )
  }
  if (failures.length > FAILURES_SHOWN) {
    console.log(`  and more: ${options.base}${runsOf(options)}/runs/${id}`)
  }
  return state === 'succeeded' ? 0 : state === 'partial' || state === 'parked' ? 3 : 1
}

async function cancel(service: Service, options: Options): Promise<number> {
  const [newest] = await service.call<Run[]>(
    'GET',
    `${runsOf(options)}/runs?${owned(options, { limit: '1' })}`
  )
  if (newest === undefined || !['queued', 'running', 'parked'].includes(newest.state)) {
    throw new StartError([`No ${PRODUCTS[options.product]} run is under way.`], 1)
  }
  const { id, error } = await service.call<Run>('DELETE', `${runsOf(options)}/runs/${newest.id}`)
  console.log(`Run ${id}: ${plain(error?.detail ?? 'cancelled.')}`)
  return 0
}

/** Says what becomes of the run that is no longer watched. @returns the exit code */
function left(options: Options): number {
  const its = `npm run sync -- --product ${options.product}${options.owner === undefined ? '' : ` --owner ${options.owner}`}`
  console.error(
    watched === undefined
      ? 'Nothing was waited for.'
      : `Run ${watched.id} goes on without being watched. To watch it again: ${its} · to end it: ${its} --cancel`
  )
  return INTERRUPTED[leaving.signal.reason as keyof typeof INTERRUPTED]
}
