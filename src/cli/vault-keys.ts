import { randomBytes } from 'node:crypto'
import { loadSettings } from '../config/load.ts'
import { StartError } from '../lib/errors.ts'
import { verifyKeyring } from '../grants/verify-keys.ts'
import { rotateKey, type KeyRotationProgress } from '../grants/rotate-key.ts'
import { createLogger } from '../lib/logger.ts'
import { usageError, defineCommand, withStore } from './command.ts'
import type { Store } from '../store/index.ts'
import { generateKeyEntry, type Keyring } from '../vault/keyring.ts'

const HELP = `npm run keys -- new [--id NAME]   make a key: one entry for VAULT_KEYS, printed once and kept nowhere
npm run keys -- status            which keys there are, and how many grants each of them seals
npm run keys -- rotate            seal every grant anew with the first key, while the service runs; may be interrupted

To replace a key: put a new one in front of it in VAULT_KEYS, restart every instance, rotate, take the old one out.
`

/** `npm run keys`: reads the same settings as the service, and never prints a key but one that it has just made. */
await defineCommand(HELP, ['id'], async ([command, ...rest], { id }) => {
  if (rest.length > 0 || (id !== undefined && command !== 'new')) throw usageError(HELP)
  if (command === 'new') {
    generateKey(
      id ??
        `k${new Date().toISOString().slice(0, 10).replaceAll('-', '')}-${randomBytes(4).toString('hex')}`
    )
  } else if (command === 'status') await runWithStore(printStatus)
  else if (command === 'rotate') await runWithStore(rotateKeys)
  else throw usageError(HELP)
})

function generateKey(id: string): void {
  if (!/^[A-Za-z0-9_-]{1,32}$/.test(id)) {
    throw new StartError(['--id takes up to 32 letters, digits, - or _.'], 2)
  }
  console.log(generateKeyEntry(id))
  if (process.stdout.isTTY) {
    console.error(
      '\nPut it in front of the other keys in VAULT_KEYS, and keep it where the database and its backups are not.'
    )
  }
}

async function runWithStore(
  command: (store: Store, keyring: Keyring, source: string) => Promise<void>
): Promise<void> {
  const { config, keys } = await loadSettings(process.env)
  await withStore(config, async (store) => {
    await command(store, keys.keyring, keys.source)
  })
}

async function printStatus(store: Store, keyring: Keyring, source: string): Promise<void> {
  const [knownKeys, grantsByKey] = [
    await store.vaultKeys.list(),
    await store.encryptedTokens.countByKey()
  ]
  const ids = [
    ...new Set([...keyring.ids, ...grantsByKey.keys(), ...knownKeys.map(({ id }) => id)])
  ]
  for (const id of ids) {
    const state =
      id === keyring.current.id
        ? 'writes and reads'
        : keyring.find(id) === undefined
          ? 'not there'
          : 'reads'
    console.log(
      `${id}: ${state}, seals ${formatGrantCount(grantsByKey.get(id) ?? 0)}, used ${(knownKeys.find((row) => row.id === id)?.uses ?? 0).toLocaleString('en')} times`
    )
  }
  const remaining = ids
    .filter((id) => id !== keyring.current.id)
    .reduce((sum, id) => sum + (grantsByKey.get(id) ?? 0), 0)
  console.log(
    remaining === 0
      ? `Nothing is left to rotate; ${source} needs no key but the first.`
      : `${formatGrantCount(remaining)} left to rotate: npm run keys -- rotate`
  )
  await verifyKeyring(store, keyring, source)
}

async function rotateKeys(store: Store, keyring: Keyring, source: string): Promise<void> {
  const vault = await verifyKeyring(store, keyring, source)
  const { logger } = createLogger({
    write: (line) => {
      process.stderr.write(line)
    }
  })
  const { reencrypted, remaining, undecryptable } = await rotateKey(
    { store, vault },
    logger,
    showProgress
  )
  if (process.stderr.isTTY) process.stderr.write('\n')
  console.log(
    `${formatGrantCount(reencrypted)} sealed anew with ${vault.keyId}, ${remaining} left.`
  )
  if (undecryptable > 0) {
    console.log(
      `${formatGrantCount(undecryptable)} did not open with any key; their users have to connect again.`
    )
  }
  if (remaining > 0) process.exitCode = 1
}

/** To a terminal a line that changes, to a file a line for each batch. */
function showProgress({ reencrypted, remaining }: KeyRotationProgress): void {
  const share = Math.round((100 * reencrypted) / Math.max(1, reencrypted + remaining))
  if (process.stderr.isTTY) {
    process.stderr.write(
      `\r[${'#'.repeat(share / 4).padEnd(25, '.')}] ${share} %, ${remaining} left `
    )
  } else process.stderr.write(`${reencrypted} sealed anew, ${remaining} left\n`)
}

function formatGrantCount(grants: number): string {
  return grants === 1 ? '1 grant' : `${grants.toLocaleString('en')} grants`
}
