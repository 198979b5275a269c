import { BOOTSTRAP_KEY_NAME } from '../access/bootstrap.ts'
import { SCOPES, type Scope } from '../access/rules.ts'
import { hashSecret, KEY, createSecret, displayPrefix } from '../access/secrets.ts'
import { loadDatabaseSettings } from '../config/load.ts'
import { StartError } from '../lib/errors.ts'
import { usageError, defineCommand, withStore } from './command.ts'
import type { Store } from '../store/index.ts'

const HELP = `npm run api-keys -- create --name NAME --scopes SCOPE[,SCOPE…] [--expires 90d]   make a service key: printed once, kept as a hash
npm run api-keys -- list                                                          which keys there are, and when each was last used
npm run api-keys -- revoke NAME                                                   end one, at once

Scopes: ${SCOPES.join(', ')}. admin may do everything.
Callers send it as "Authorization: Bearer …".
`
const DAY_MS = 86_400_000
const MAX_EXPIRY_DAYS = 3_650

/** `npm run api-keys`: needs the database of the service and no other setting, and never prints a key but one that it has just made. */
await defineCommand(
  HELP,
  ['name', 'scopes', 'expires'],
  async ([command, name, ...rest], { name: nameOption, scopes, expires }) => {
    const hasNoOptions = nameOption === undefined && scopes === undefined && expires === undefined
    if (command === 'create' && name === undefined) {
      await createKey(parseName(nameOption), parseScopes(scopes), parseExpiry(expires))
    } else if (command === 'list' && name === undefined && hasNoOptions) {
      await runWithStore(listKeys)
    } else if (command === 'revoke' && name !== undefined && rest.length === 0 && hasNoOptions) {
      await runWithStore(async (store) => {
        await revokeKey(store, name)
      })
    } else throw usageError(HELP)
  }
)

async function runWithStore(command: (store: Store) => Promise<void>): Promise<void> {
  await withStore(await loadDatabaseSettings(process.env), command)
}

async function createKey(name: string, scopes: Scope[], expiresAt: Date | null): Promise<void> {
  const secret = createSecret(KEY)
  await runWithStore(async (store) => {
    const created = await store.apiKeys.create({
      name,
      hash: hashSecret(secret),
      prefix: displayPrefix(secret),
      scopes,
      expiresAt
    })
    if (created === undefined) {
      throw new StartError(
        [`There is a key named ${name} already. Revoke it first, or choose another name.`],
        1
      )
    }
  })
  console.log(secret)
  if (process.stdout.isTTY) console.error('\nThis is the only time that it is shown.')
}

async function listKeys(store: Store): Promise<void> {
  const keys = await store.apiKeys.list()
  if (keys.length === 0) console.log('There are no keys.')
  for (const { id, name, prefix, scopes, createdAt, expiresAt, revokedAt, lastUsedAt } of keys) {
    const isExpired = expiresAt !== null && expiresAt.getTime() <= Date.now()
    const state =
      revokedAt !== null
        ? `revoked ${formatDate(revokedAt)}`
        : isExpired
          ? `expired ${formatDate(expiresAt)}`
          : expiresAt === null
            ? 'good'
            : `good until ${formatDate(expiresAt)}`
    console.log(
      `${id}  ${name}  ${prefix}…  ${scopes.join(',')}  made ${formatDate(createdAt)}  ${state}  ${lastUsedAt === null ? 'never used' : `last used ${lastUsedAt.toISOString()}`}`
    )
  }
}

async function revokeKey(store: Store, name: string): Promise<void> {
  if (!(await store.apiKeys.revoke({ name }))) {
    throw new StartError([`No key that is good is named ${name}.`], 1)
  }
  console.log(`${name} is revoked.`)
}

function parseName(value = ''): string {
  if (!/^[A-Za-z0-9][\w.-]{0,63}$/.test(value)) {
    throw new StartError(['--name takes up to 64 letters, digits, -, _ or a dot.'], 2)
  }
  if (value === BOOTSTRAP_KEY_NAME) {
    throw new StartError(
      [`${BOOTSTRAP_KEY_NAME} is the name of the key in BOOTSTRAP_API_KEY. Choose another name.`],
      2
    )
  }
  return value
}

function parseScopes(value = ''): Scope[] {
  const requested = [
    ...new Set(
      value
        .split(',')
        .map((scope) => scope.trim())
        .filter(Boolean)
    )
  ]
  const unknown = requested.filter((scope) => !(SCOPES as readonly string[]).includes(scope))
  if (unknown.length > 0) {
    throw new StartError(
      [`--scopes: there is no ${unknown.join(', ')}. There are ${SCOPES.join(', ')}.`],
      2
    )
  }
  if (requested.length === 0) {
    throw new StartError(
      [`--scopes is missing: one or more of ${SCOPES.join(', ')}, with commas.`],
      2
    )
  }
  return requested as Scope[]
}

function parseExpiry(value: string | undefined): Date | null {
  if (value === undefined) return null
  const [, days] = /^(\d{1,4})d$/.exec(value) ?? []
  if (days === undefined || Number(days) < 1 || Number(days) > MAX_EXPIRY_DAYS) {
    throw new StartError([`--expires takes days, such as 90d, up to ${MAX_EXPIRY_DAYS}d.`], 2)
  }
  return new Date(Date.now() + Number(days) * DAY_MS)
}

function formatDate(date: Date): string {
  return date.toISOString().slice(0, 10)
}
