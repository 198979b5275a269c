import { BOOTSTRAP } from '../access/bootstrap.ts'
import { SCOPES, type Scope } from '../access/rules.ts'
import { hashOf, KEY, newSecret, prefixOf } from '../access/secrets.ts'
import { loadDatabaseSettings } from '../config/load.ts'
import { StartError } from '../lib/errors.ts'
import { meaningless, operatorCommand, withStore } from './command.ts'
import type { Store } from '../store/index.ts'

const HELP = `npm run api-keys -- create --name NAME --scopes SCOPE[,SCOPE…] [--expires 90d]   make a service key: printed once, kept as a hash
npm run api-keys -- list                                                          which keys there are, and when each was last used
npm run api-keys -- revoke NAME                                                   end one, at once

Scopes: ${SCOPES.join(', ')}. admin may do everything.
Callers send it as "Authorization: Bearer …".
`
const DAY_MS = 86_400_000
const LONGEST_DAYS = 3_650

/** `npm run api-keys`: needs the database of the service and no other setting, and never prints a key but one that it has just made. */
await operatorCommand(
  HELP,
  ['name', 'scopes', 'expires'],
  async ([command, name, ...rest], { name: given, scopes, expires }) => {
    const isBare = given === undefined && scopes === undefined && expires === undefined
    if (command === 'create' && name === undefined) {
      await create(nameOf(given), scopesOf(scopes), expiryOf(expires))
    } else if (command === 'list' && name === undefined && isBare) await inDatabase(list)
    else if (command === 'revoke' && name !== undefined && rest.length === 0 && isBare) {
      await inDatabase(async (store) => {
        await revoke(store, name)
      })
    } else throw meaningless(HELP)
  }
)

async function inDatabase(command: (store: Store) => Promise<void>): Promise<void> {
  await withStore(loadDatabaseSettings(process.env), command)
}

async function create(name: string, scopes: Scope[], expiresAt: Date | null): Promise<void> {
  const secret = newSecret(KEY)
  await inDatabase(async (store) => {
    const made = await store.apiKeys.create({
      name,
      hash: hashOf(secret),
      prefix: prefixOf(secret),
      scopes,
      expiresAt
    })
    if (made === undefined) {
      throw new StartError(
        [`There is a key named ${name} already. Revoke it first, or choose another name.`],
        1
      )
    }
  })
  console.log(secret)
  if (process.stdout.isTTY) console.error('\nThis is the only time that it is shown.')
}

async function list(store: Store): Promise<void> {
  const keys = await store.apiKeys.list()
  if (keys.length === 0) console.log('There are no keys.')
  for (const { id, name, prefix, scopes, createdAt, expiresAt, revokedAt, lastUsedAt } of keys) {
    const isOver = expiresAt !== null && expiresAt.getTime() <= Date.now()
    const state =
      revokedAt !== null
        ? `revoked ${day(revokedAt)}`
        : isOver
          ? `expired ${day(expiresAt)}`
          : expiresAt === null
            ? 'good'
            : `good until ${day(expiresAt)}`
    console.log(
      `${id}  ${name}  ${prefix}…  ${scopes.join(',')}  made ${day(createdAt)}  ${state}  ${lastUsedAt === null ? 'never used' : `last used ${lastUsedAt.toISOString()}`}`
    )
  }
}

async function revoke(store: Store, name: string): Promise<void> {
  if (!(await store.apiKeys.revoke({ name }))) {
    throw new StartError([`No key that is good is named ${name}.`], 1)
  }
  console.log(`${name} is revoked.`)
}

function nameOf(given = ''): string {
  if (!/^[A-Za-z0-9][\w.-]{0,63}$/.test(given)) {
    throw new StartError(['--name takes up to 64 letters, digits, -, _ or a dot.'], 2)
  }
  if (given === BOOTSTRAP) {
    throw new StartError(
      [`${BOOTSTRAP} is the name of the key in BOOTSTRAP_API_KEY. Choose another name.`],
      2
    )
  }
  return given
}

function scopesOf(given = ''): Scope[] {
  const named = [
    ...new Set(
      given
        .split(',')
        .map((each) => each.trim())
        .filter(Boolean)
    )
  ]
  const unknown = named.filter((each) => !(SCOPES as readonly string[]).includes(each))
  if (unknown.length > 0) {
    throw new StartError(
      [`--scopes: there is no ${unknown.join(', ')}. There are ${SCOPES.join(', ')}.`],
      2
    )
  }
  if (named.length === 0) {
    throw new StartError(
      [`--scopes is missing: one or more of ${SCOPES.join(', ')}, with commas.`],
      2
    )
  }
  return named as Scope[]
}

function expiryOf(given: string | undefined): Date | null {
  if (given === undefined) return null
  const [, days] = /^(\d{1,4})d$/.exec(given) ?? []
  if (days === undefined || Number(days) < 1 || Number(days) > LONGEST_DAYS) {
    throw new StartError([`--expires takes days, such as 90d, up to ${LONGEST_DAYS}d.`], 2)
  }
  return new Date(Date.now() + Number(days) * DAY_MS)
}

function day(at: Date): string {
  return at.toISOString().slice(0, 10)
}
