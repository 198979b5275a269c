import { defineCommand, JSON_OPTION, printResult } from './command.ts'
import { EXIT_CODES } from './exit.ts'
import { runWithStore } from './operator.ts'
import { BOOTSTRAP_KEY_NAME } from '../access/bootstrap.ts'
import { isNetwork } from '../access/networks.ts'
import { SCOPES, type Scope } from '../access/rules.ts'
import { createSecret, displayPrefix, KEY } from '../access/secrets.ts'
import { hashSecret } from '../lib/secret.ts'
import { StartError } from '../lib/errors.ts'

const DAY_MS = 86_400_000
const MAX_EXPIRY_DAYS = 3_650

export const createApiKey = defineCommand({
  description:
    'Create an API key. It is printed once; the database keeps only its hash.\n' +
    'Callers send it as "Authorization: Bearer KEY".\n\n' +
    `Scopes: ${SCOPES.join(', ')}.\nThe scope admin allows everything.`,
  options: {
    name: {
      flags: '--name <name>',
      description: 'The name of the key, unique among the keys that are not revoked.',
      isRequired: true,
      rule: `must be 1 to 64 letters, digits, "-", "_" or ".", and not "${BOOTSTRAP_KEY_NAME}"`,
      parse: parseName
    },
    scopes: {
      flags: '--scopes <scopes>',
      description: 'What the key allows: scopes, separated by commas.',
      isRequired: true,
      rule: `must be one or more of ${SCOPES.join(', ')}, separated by commas`,
      parse: parseScopes
    },
    expires: {
      flags: '--expires <days>',
      description: `The lifetime in days, such as 90d. Without it the key does not expire.`,
      rule: `must be a number of days such as 90d, up to ${MAX_EXPIRY_DAYS}d`,
      parse: parseDays
    },
    from: {
      flags: '--from <networks>',
      description:
        'The addresses that the key may be used from: addresses or ranges, separated by commas. ' +
        'Default: anywhere.',
      rule: 'must be IP addresses or ranges such as 10.0.0.0/8, separated by commas',
      parse: parseNetworks
    },
    json: JSON_OPTION
  },
  examples: [
    ['--name crm --scopes users:read,data:read --expires 90d', 'A key for 90 days.'],
    ['--name nightly --scopes sync:read,sync:write', 'A key for `connector sync`.']
  ],
  usesDatabase: true,
  async run({ name, scopes, expires, from: networks = null, json }) {
    const secret = createSecret(KEY)
    const key = {
      name,
      hash: hashSecret(secret),
      prefix: displayPrefix(secret),
      scopes,
      networks,
      expiresAt: expires === undefined ? null : new Date(Date.now() + expires * DAY_MS)
    }
    const created = await runWithStore(async ({ apiKeys }) => await apiKeys.create(key))
    if (created === undefined) {
      throw new StartError(
        [`An API key named ${name} already exists. Revoke it first, or choose another name.`],
        EXIT_CODES.failure
      )
    }
    printResult(json, { key: secret, name, scopes, networks, expires_at: key.expiresAt }, secret)
    if (process.stdout.isTTY) console.error('\nStore this key now. It is not shown again.')
  }
})

export const listApiKeys = defineCommand({
  description: 'List the API keys: prefix, scopes, state and last use. Keys are not shown.',
  options: { json: JSON_OPTION },
  examples: [['', 'One line for each key.']],
  usesDatabase: true,
  async run({ json }) {
    const keys = (await runWithStore(async ({ apiKeys }) => await apiKeys.list())).map(
      ({
        id,
        name,
        prefix,
        scopes,
        networks,
        createdAt,
        expiresAt,
        rotatedUntil,
        revokedAt,
        lastUsedAt
      }) => ({
        id,
        name,
        prefix,
        scopes,
        networks,
        created_at: createdAt,
        expires_at: expiresAt,
        rotated_until: rotatedUntil,
        revoked_at: revokedAt,
        last_used_at: lastUsedAt
      })
    )
    printResult(json, keys, keys.map(formatKey).join('\n') || 'There are no API keys.')
  }
})

export const revokeApiKey = defineCommand({
  description: 'Revoke an API key. Every instance rejects it from then on.',
  argument: { name: 'name', description: 'The name of the key.' },
  options: { json: JSON_OPTION },
  examples: [['crm', 'Revoke the key named crm.']],
  usesDatabase: true,
  async run({ json }, name) {
    if (!(await runWithStore(async ({ apiKeys }) => await apiKeys.revoke({ name })))) {
      throw new StartError([`There is no active API key named ${name}.`], EXIT_CODES.failure)
    }
    printResult(json, { revoked: name }, `Revoked ${name}.`)
  }
})

interface ListedKey {
  id: number
  name: string
  prefix: string
  scopes: readonly string[]
  networks: readonly string[] | null
  created_at: Date
  expires_at: Date | null
  rotated_until: Date | null
  revoked_at: Date | null
  last_used_at: Date | null
}

function formatKey(key: ListedKey): string {
  const lastUse =
    key.last_used_at === null ? 'never used' : `last used ${key.last_used_at.toISOString()}`
  return [
    key.id,
    key.name,
    `${key.prefix}…`,
    key.scopes.join(','),
    ...(key.networks === null ? [] : [`from ${key.networks.join(',')}`]),
    `created ${formatDate(key.created_at)}`,
    formatState(key),
    lastUse
  ].join('  ')
}

function formatState({
  revoked_at: revokedAt,
  expires_at: expiresAt,
  rotated_until: rotatedUntil
}: ListedKey): string {
  if (revokedAt !== null) return `revoked ${formatDate(revokedAt)}`
  if (rotatedUntil !== null) return `replaced, until ${rotatedUntil.toISOString()}`
  if (expiresAt === null) return 'active'
  return expiresAt.getTime() <= Date.now()
    ? `expired ${formatDate(expiresAt)}`
    : `active until ${formatDate(expiresAt)}`
}

function formatDate(date: Date): string {
  return date.toISOString().slice(0, 10)
}

function parseName(text: string): string | undefined {
  return /^[A-Za-z0-9][\w.-]{0,63}$/.test(text) && text !== BOOTSTRAP_KEY_NAME ? text : undefined
}

function parseScopes(text: string): Scope[] | undefined {
  const names = text
    .split(',')
    .map((scope) => scope.trim())
    .filter(Boolean)
  const scopes = SCOPES.filter((scope) => names.includes(scope))
  const isValid =
    scopes.length > 0 && names.every((name) => (SCOPES as readonly string[]).includes(name))
  return isValid ? [...new Set(names as Scope[])] : undefined
}

function parseNetworks(text: string): string[] | undefined {
  const networks = text.split(',').map((network) => network.trim())
  return networks.every(isNetwork) ? networks : undefined
}

function parseDays(text: string): number | undefined {
  const days = Number(/^(\d{1,4})d$/.exec(text)?.[1] ?? 0)
  return days >= 1 && days <= MAX_EXPIRY_DAYS ? days : undefined
}
