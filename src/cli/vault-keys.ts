import { randomBytes } from 'node:crypto'
import { loadSettings } from '../config/load.ts'
import { StartError } from '../lib/errors.ts'
import { proveKeys } from '../grants/verify-keys.ts'
import { rekey, type RekeyProgress } from '../grants/rotate-key.ts'
import { createLogger } from '../lib/logger.ts'
import { meaningless, operatorCommand, withStore } from './command.ts'
import type { Store } from '../store/index.ts'
import { newKeyEntry, type Keyring } from '../vault/keyring.ts'

const HELP = `npm run keys -- new [--id NAME]   make a key: one entry for VAULT_KEYS, printed once and kept nowhere
npm run keys -- status            which keys there are, and how many grants each of them seals
npm run keys -- rotate            seal every grant anew with the first key, while the service runs; may be interrupted

To replace a key: put a new one in front of it in VAULT_KEYS, restart every instance, rotate, take the old one out.
`

/** `npm run keys`: reads the same settings as the service, and never prints a key but one that it has just made. */
await operatorCommand(HELP, ['id'], async ([command, ...rest], { id }) => {
  if (rest.length > 0 || (id !== undefined && command !== 'new')) throw meaningless(HELP)
  if (command === 'new') {
    makeKey(
      id ??
        `k${new Date().toISOString().slice(0, 10).replaceAll('-', '')}-${randomBytes(4).toString('hex')}`
    )
  } else if (command === 'status') await inDatabase(status)
  else if (command === 'rotate') await inDatabase(rotate)
  else throw meaningless(HELP)
})

function makeKey(id: string): void {
  if (!/^[A-Za-z0-9_-]{1,32}$/.test(id)) {
    throw new StartError(['--id takes up to 32 letters, digits, - or _.'], 2)
  }
  console.log(newKeyEntry(id))
  if (process.stdout.isTTY) {
    console.error(
      '\nPut it in front of the other keys in VAULT_KEYS, and keep it where the database and its backups are not.'
    )
  }
}

async function inDatabase(
  command: (store: Store, keyring: Keyring, source: string) => Promise<void>
): Promise<void> {
  const { config, keys } = await loadSettings(process.env)
  await withStore(config, async (store) => {
    await command(store, keys.keyring, keys.source)
  })
}

async function status(store: Store, keyring: Keyring, source: string): Promise<void> {
  const [known, sealed] = [await store.keys.list(), await store.sealed.perKey()]
  const ids = [...new Set([...keyring.ids, ...sealed.keys(), ...known.map(({ id }) => id)])]
  for (const id of ids) {
    const place =
      id === keyring.current.id
        ? 'writes and reads'
        : keyring.find(id) === undefined
          ? 'not there'
          : 'reads'
    console.log(
      `${id}: ${place}, seals ${counted(sealed.get(id) ?? 0)}, used ${(known.find((row) => row.id === id)?.uses ?? 0).toLocaleString('en')} times`
    )
  }
  const left = ids
    .filter((id) => id !== keyring.current.id)
    .reduce((sum, id) => sum + (sealed.get(id) ?? 0), 0)
  console.log(
    left === 0
      ? `Nothing is left to rotate; ${source} needs no key but the first.`
      : `${counted(left)} left to rotate: npm run keys -- rotate`
  )
  await proveKeys(store, keyring, source)
}

async function rotate(store: Store, keyring: Keyring, source: string): Promise<void> {
  const vault = await proveKeys(store, keyring, source)
  const { logger } = createLogger({
    write: (line) => {
      process.stderr.write(line)
    }
  })
  const { resealed, left, unreadable } = await rekey({ store, vault }, logger, show)
  if (process.stderr.isTTY) process.stderr.write('\n')
  console.log(`${counted(resealed)} sealed anew with ${vault.keyId}, ${left} left.`)
  if (unreadable > 0) {
    console.log(
      `${counted(unreadable)} did not open with any key; their users have to connect again.`
    )
  }
  if (left > 0) process.exitCode = 1
}

/** To a terminal a line that changes, to a file a line for each batch. */
function show({ resealed, left }: RekeyProgress): void {
  const share = Math.round((100 * resealed) / Math.max(1, resealed + left))
  if (process.stderr.isTTY) {
    process.stderr.write(`\r[${'#'.repeat(share / 4).padEnd(25, '.')}] ${share} %, ${left} left `)
  } else process.stderr.write(`${resealed} sealed anew, ${left} left\n`)
}

function counted(grants: number): string {
  return grants === 1 ? '1 grant' : `${grants.toLocaleString('en')} grants`
}
