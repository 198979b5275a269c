import { defineCommand, JSON_OPTION, printResult } from './command.ts'
import { EXIT_CODES, UsageError } from './exit.ts'
import { createProgress, type ProgressOutput } from './progress.ts'
import { readKeyFromEnv, resolveBaseUrl, SERVICE_OPTIONS } from './service-options.ts'
import { createSyncClient, type ApiRun, type SyncClient } from './sync-client.ts'
import { describeProgress, formatResult } from './sync-report.ts'
import { formatTime, replaceControlChars } from './terminal.ts'
import { StartError } from '../lib/errors.ts'
import { builtInProviders } from '../providers/index.ts'

const MODES = ['due', 'incremental', 'full'] as const
const PRODUCT_TITLES = new Map(builtInProviders.map(({ id, title }) => [id, title]))
const PRODUCTS = [...PRODUCT_TITLES.keys()]
const EXIT_CODE_BY_SIGNAL = {
  SIGINT: EXIT_CODES.interrupted,
  SIGTERM: EXIT_CODES.terminated
} as const

interface SyncTarget {
  product: string
  owner: string | undefined
  base: string
}

export const sync = defineCommand({
  description:
    'Copy the data of one connection now, and watch the run. Calls a running service over HTTP.\n' +
    'A run that is in progress is joined. Ctrl-C stops watching; the run continues.\n' +
    'Where the service requires authentication, put an API key with the scopes sync:read and\n' +
    'sync:write into CONNECTOR_API_KEY, in the environment or in `.env`.',
  options: {
    product: {
      flags: '--product <product>',
      description: `The product to copy: ${PRODUCTS.join(' or ')}.`,
      isRequired: true,
      rule: `must be ${PRODUCTS.join(' or ')}`,
      parse: (text) => PRODUCTS.find((product) => product === text)
    },
    owner: {
      flags: '--owner <id>',
      description: 'The user whose connection is copied. Default: the first user.',
      rule: 'must be the id of a user, a positive whole number',
      parse: (text) =>
        /^[1-9]\d{0,15}$/.test(text) && Number.isSafeInteger(Number(text)) ? text : undefined
    },
    mode: {
      flags: '--mode <mode>',
      description:
        'due: as scheduled (default); incremental: changes; full: everything, also deletions.',
      rule: `must be ${MODES.join(', ')}`,
      parse: (text) => MODES.find((mode) => mode === text)
    },
    noWait: {
      flags: '--no-wait',
      description: "Do not wait for a run that Atlassian's rate limit has parked."
    },
    cancel: { flags: '--cancel', description: 'Cancel the run that is in progress instead.' },
    ...SERVICE_OPTIONS,
    json: JSON_OPTION
  },
  examples: [
    [`--product ${PRODUCTS[0]}`, 'Copy what is due, with the key of CONNECTOR_API_KEY.'],
    [`--product ${PRODUCTS[1]} --owner 7 --mode full`, "Copy everything of user 7's connection."],
    [`--product ${PRODUCTS[0]} --cancel`, 'Cancel the run that is in progress.']
  ],
  async run({ product, owner, mode, noWait, cancel, url, key, json }) {
    if (cancel && (mode !== undefined || noWait)) {
      throw new UsageError('--cancel cannot be combined with --mode or --no-wait.')
    }
    const base = resolveBaseUrl(url)
    const target = { product, owner, base }
    const abortController = new AbortController()
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        abortController.abort(signal)
      })
    }
    const client = createSyncClient(base, abortController.signal, key ?? readKeyFromEnv())
    let watchedRun: ApiRun | undefined
    try {
      if (cancel) return await cancelRun(client, target, json)
      return await runSync(client, target, {
        mode: mode ?? 'due',
        shouldWait: !noWait,
        isJson: json,
        onRun: (run) => {
          watchedRun = run
        }
      })
    } catch (error) {
      if (!abortController.signal.aborted) throw error
      console.error(formatDetached(target, watchedRun))
      return EXIT_CODE_BY_SIGNAL[abortController.signal.reason as keyof typeof EXIT_CODE_BY_SIGNAL]
    }
  }
})

function buildRunsPath({ product }: SyncTarget): string {
  return `/integrations/${product}/sync`
}

function buildOwnerQuery({ owner }: SyncTarget, query: Record<string, string>): string {
  return String(
    new URLSearchParams({ ...(owner === undefined ? {} : { owner_id: owner }), ...query })
  )
}

interface WatchOptions {
  mode: string
  shouldWait: boolean
  isJson: boolean
  onRun: (run: ApiRun) => void
}

/** Starts or joins a run and watches it. @returns the exit code */
async function runSync(
  client: SyncClient,
  target: SyncTarget,
  { mode, shouldWait, isJson, onRun }: WatchOptions
): Promise<number> {
  const path = buildRunsPath(target)
  let run = await client.requestJson<ApiRun>('POST', `${path}?${buildOwnerQuery(target, { mode })}`)
  onRun(run)
  const runUrl = `${path}/runs/${run.id}`
  const progress = createProgress(process.stderr as ProgressOutput)
  try {
    const joined = run.started_at !== null || run.mode !== mode
    progress.log(
      `${PRODUCT_TITLES.get(target.product)} of user ${run.owner_id}: run ${run.id}` +
        (joined ? `, already in progress${run.mode === mode ? '' : ` (mode ${run.mode})`}.` : '.')
    )
    const events = client.streamRun(`${runUrl}/events`, () => {
      progress.log('The service is unavailable. Retrying.')
    })
    let parkedUntil: string | null = null
    for await (run of events) {
      onRun(run)
      if (run.state === 'parked' && run.next_run_at !== parkedUntil) {
        const reason = replaceControlChars(run.error?.detail ?? 'The run is parked.')
        progress.log(`${reason} It resumes at ${formatTime(run.next_run_at)}.`)
      }
      parkedUntil = run.next_run_at
      progress.update(describeProgress(run))
      if (run.state === 'parked' && !shouldWait) break
    }
  } finally {
    progress.finish()
  }
  printResult(isJson, run, formatResult(run, target.base + runUrl))
  if (run.state === 'succeeded') return EXIT_CODES.success
  return ['partial', 'parked'].includes(run.state) ? EXIT_CODES.incomplete : EXIT_CODES.failure
}

async function cancelRun(client: SyncClient, target: SyncTarget, isJson: boolean): Promise<number> {
  const path = buildRunsPath(target)
  const [newestRun] = await client.requestJson<ApiRun[]>(
    'GET',
    `${path}/runs?${buildOwnerQuery(target, { limit: '1' })}`
  )
  if (newestRun === undefined || !['queued', 'running', 'parked'].includes(newestRun.state)) {
    throw new StartError(
      [`No ${PRODUCT_TITLES.get(target.product)} run is in progress.`],
      EXIT_CODES.failure
    )
  }
  const run = await client.requestJson<ApiRun>('DELETE', `${path}/runs/${newestRun.id}`)
  const detail = replaceControlChars(run.error?.detail ?? 'The run was cancelled.')
  printResult(isJson, run, `Run ${run.id}: ${detail}`)
  return EXIT_CODES.success
}

/** What becomes of a run that is no longer watched. */
function formatDetached({ product, owner }: SyncTarget, run: ApiRun | undefined): string {
  if (run === undefined) return 'Interrupted before a run was started.'
  const command = `connector sync --product ${product}${owner === undefined ? '' : ` --owner ${owner}`}`
  return `Run ${run.id} continues. To watch it again: \`${command}\`. To cancel it: \`${command} --cancel\`.`
}
