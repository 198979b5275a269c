import { defineCommand, JSON_OPTION, printResult } from './command.ts'
import {
  createChoiceOption,
  LIMIT_OPTION,
  limitRows,
  PRODUCT_OPTION,
  runFleetCommand,
  USER_OPTION
} from './fleet-options.ts'
import { readKeyFromEnv, resolveBaseUrl, SERVICE_OPTIONS } from './service-options.ts'
import { createSyncClient } from './sync-client.ts'
import { formatTime, replaceControlChars } from './terminal.ts'
import {
  toFleetConnectionResponse,
  toFleetCounts,
  type FleetConnectionResponse
} from '../connections/fleet-view.ts'
import { exampleProvider } from '../providers/index.ts'
import { resumeConnection } from '../connections/resume.ts'
import { CONNECTION_STATES } from '../model/states.ts'

/** Time-outs of the requests end the command before this does. */
const CHECK_TIMEOUT_MS = 60_000

export const listConnections = defineCommand({
  description:
    'List the connections of all users with their state, and count them. Reads the database.',
  options: {
    state: createChoiceOption('state', 'Only connections in this state', CONNECTION_STATES),
    product: { ...PRODUCT_OPTION, description: `Only this product. ${PRODUCT_OPTION.description}` },
    site: {
      flags: '--site <site>',
      description: 'Only connections to this site: its cloud id, name or address.'
    },
    text: {
      flags: '--text <text>',
      description: "Only where the person's address or name, or a site, contains this text."
    },
    limit: LIMIT_OPTION,
    json: JSON_OPTION
  },
  examples: [
    ['', 'All connections.'],
    ['--state needs_reconnect --json', 'The people who have to connect again, for a script.'],
    ['--text ada@', 'The connections of a person.']
  ],
  usesDatabase: true,
  async run({ state, product, site, text, limit, json }) {
    const filter = { state, product: product?.id, site, text }
    const { rows, counts } = await runFleetCommand(async ({ fleet }) => ({
      rows: await fleet.listConnections(filter, limit + 1),
      counts: toFleetCounts(await fleet.countConnections(filter))
    }))
    const connections = limitRows(rows, limit).map(toFleetConnectionResponse)
    const byState = Object.entries(counts.by_state).map(([name, count]) => `${count} ${name}`)
    const summary = counts.total === 0 ? 'No connection matches.' : `Total: ${byState.join(', ')}.`
    printResult(
      json,
      { connections, counts },
      [...connections.map(formatConnection), summary].join('\n')
    )
  }
})

export const checkConnectionCommand = defineCommand({
  description:
    'Ask Atlassian whether a connection works and which sites it covers. Calls a running service\n' +
    'over HTTP. Where it requires authentication, put an API key with the scope connections:write\n' +
    'into CONNECTOR_API_KEY, in the environment or in `.env`.',
  options: {
    user: { ...USER_OPTION, isRequired: true },
    product: { ...PRODUCT_OPTION, isRequired: true },
    ...SERVICE_OPTIONS,
    json: JSON_OPTION
  },
  examples: [[`--user 7 --product ${exampleProvider.id}`, 'Check the connection of user 7.']],
  async run({ user, product, url, key, json }) {
    const client = createSyncClient(
      resolveBaseUrl(url),
      AbortSignal.timeout(CHECK_TIMEOUT_MS),
      key ?? readKeyFromEnv(),
      ['connections:write']
    )
    const connection = await client.requestJson<{
      state: string
      last_error: string | null
      sites: Array<{ name: string; selected: boolean }>
    }>('POST', `/users/${user}/connections/${product.id}/check`)
    const sites = connection.sites.map(
      ({ name, selected }) => `${name}${selected ? '' : ' (not selected)'}`
    )
    const reason = connection.last_error === null ? '' : ` ${connection.last_error}`
    printResult(
      json,
      connection,
      replaceControlChars(
        `${product.id} of user ${user}: ${connection.state}.${reason} Sites: ${sites.join(', ') || 'none'}.`
      )
    )
  }
})

export const resumeConnectionCommand = defineCommand({
  description:
    'End every wait of a connection: its tokens are refreshed and a sync run starts within seconds.\n' +
    "Writes the database; a running service notices. Atlassian's limits still apply. Deletions on\n" +
    'hold stay on hold until they are confirmed.',
  options: {
    user: { ...USER_OPTION, isRequired: true },
    product: { ...PRODUCT_OPTION, isRequired: true },
    json: JSON_OPTION
  },
  examples: [[`--user 7 --product ${exampleProvider.id}`, 'Sync the connection of user 7 now.']],
  usesDatabase: true,
  async run({ user, product, json }) {
    const { id, state } = await runFleetCommand(
      async (store) => await resumeConnection(store, user, product)
    )
    printResult(json, { run: id, state }, `Run ${id} of user ${user} is ${state}.`)
  }
})

function formatConnection(connection: FleetConnectionResponse): string {
  const { user, sites, error, last_run: lastRun } = connection
  return replaceControlChars(
    [
      connection.id,
      connection.state,
      connection.product,
      `user ${user.id} ${user.email}`,
      sites.map(({ name }) => name).join(',') || 'no site',
      lastRun === null ? 'never synced' : `run ${lastRun.id} ${lastRun.state}`,
      connection.next_sync_at === null
        ? 'no sync scheduled'
        : `next sync ${formatTime(connection.next_sync_at)}`,
      ...(error === null ? [] : [error.detail])
    ].join('  ')
  )
}
