import { randomBytes } from 'node:crypto'
import { defineCommand, JSON_OPTION, printResult } from './command.ts'
import { EXIT_CODES } from './exit.ts'
import { createStderrLogger, withStore } from './operator.ts'
import { createProgress, type ProgressOutput } from './progress.ts'
import { loadSettings } from '../config/load.ts'
import { rotateKey } from '../grants/rotate-key.ts'
import { signExistingRows } from '../grants/sign-existing-rows.ts'
import { verifyKeyring } from '../grants/verify-keys.ts'
import { formatNumber } from '../lib/formats.ts'
import type { Store } from '../store/index.ts'
import { generateKeyEntry, type Keyring } from '../vault/keyring.ts'

export const createKey = defineCommand({
  description:
    'Generate a vault key: one entry for VAULT_KEYS. It is printed once and stored nowhere.\n' +
    'To replace a key: put the new one first in VAULT_KEYS, restart every instance, run\n' +
    '`connector keys rotate`, then remove the old one.',
  options: {
    id: {
      flags: '--id <id>',
      description: 'The id of the key. Default: the date and random characters.',
      rule: 'must have 1 to 32 letters, digits, "-" or "_"',
      parse: (text) => (/^[A-Za-z0-9_-]{1,32}$/.test(text) ? text : undefined)
    },
    json: JSON_OPTION
  },
  examples: [
    ['', 'A key with a generated id.'],
    ['--id k2026', 'A key with the id k2026.']
  ],
  async run({ id = generateId(), json }) {
    const entry = generateKeyEntry(id)
    printResult(json, { id, entry }, entry)
    if (process.stdout.isTTY) {
      console.error(
        '\nPut it first in VAULT_KEYS. Store it apart from the database and its backups.'
      )
    }
  }
})

export const listKeys = defineCommand({
  description:
    'List the vault keys and how many grants each one encrypts. Keys are not shown.\n' +
    'Verifies that VAULT_KEYS has every key that a grant needs.',
  options: { json: JSON_OPTION },
  examples: [['', 'Before a key is removed from VAULT_KEYS: it must encrypt 0 grants.']],
  usesDatabase: true,
  async run({ json }) {
    await runWithKeys(async (store, keyring, source) => {
      const keys = await readKeys(store, keyring)
      const remaining = keys
        .filter(({ state }) => state !== 'current')
        .reduce((sum, { grants }) => sum + grants, 0)
      const summary =
        remaining === 0
          ? `Nothing is left to rotate; ${source} needs only its first key.`
          : `${formatGrantCount(remaining)} left to rotate. Run \`connector keys rotate\`.`
      const lines = keys.map(
        ({ id, state, grants, uses }) =>
          `${id}: ${STATE_TEXTS[state]}, encrypts ${formatGrantCount(grants)}, ` +
          `used ${formatNumber(uses)} times`
      )
      printResult(json, keys, [...lines, summary].join('\n'))
      await verifyKeyring(store, keyring, source)
    })
  }
})

export const rotateKeys = defineCommand({
  description:
    'Re-encrypt every grant with the first vault key, while the service runs. After an interruption\n' +
    'the same command continues.',
  options: { json: JSON_OPTION },
  examples: [['', 'After a new key was put first in VAULT_KEYS and every instance restarted.']],
  usesDatabase: true,
  async run({ json }) {
    return await runWithKeys(async (store, keyring, source) => {
      const vault = await verifyKeyring(store, keyring, source)
      const logger = createStderrLogger()
      await signExistingRows({ store, vault }, logger)
      const progress = createProgress(process.stderr as ProgressOutput)
      const result = await rotateKey({ store, vault }, logger, ({ reencrypted, remaining }) => {
        const text = `${formatNumber(reencrypted)} re-encrypted, ${formatNumber(remaining)} left`
        // Each batch is a step, which leaves a line in a log.
        progress.update({
          step: text,
          text,
          share: reencrypted / Math.max(1, reencrypted + remaining)
        })
      }).finally(progress.finish)
      const { reencrypted, remaining, undecryptable } = result
      printResult(
        json,
        { key: vault.keyId, reencrypted, remaining, undecryptable },
        `${formatGrantCount(reencrypted)} re-encrypted with ${vault.keyId}, ` +
          `${formatNumber(remaining)} left.` +
          (undecryptable > 0
            ? `\n${formatGrantCount(undecryptable)} cannot be decrypted with any key. ` +
              'Their users must connect again.'
            : '')
      )
      return remaining > 0 ? EXIT_CODES.failure : EXIT_CODES.success
    })
  }
})

const STATE_TEXTS = {
  current: 'encrypts and decrypts',
  previous: 'decrypts',
  missing: 'not configured'
} as const

async function readKeys(store: Store, keyring: Keyring) {
  const knownKeys = await store.vaultKeys.list()
  const grantsByKey = await store.encryptedTokens.countByKey()
  const ids = new Set([...keyring.ids, ...grantsByKey.keys(), ...knownKeys.map(({ id }) => id)])
  return [...ids].map((id) => ({
    id,
    state: getKeyState(keyring, id),
    grants: grantsByKey.get(id) ?? 0,
    uses: knownKeys.find((row) => row.id === id)?.uses ?? 0
  }))
}

function getKeyState(keyring: Keyring, id: string): keyof typeof STATE_TEXTS {
  if (id === keyring.current.id) return 'current'
  return keyring.find(id) === undefined ? 'missing' : 'previous'
}

async function runWithKeys<Result>(
  command: (store: Store, keyring: Keyring, source: string) => Promise<Result>
): Promise<Result> {
  const { config, keys } = await loadSettings(process.env)
  return await withStore(
    { ...config, keys },
    async (store) => await command(store, keys.keyring, keys.source)
  )
}

function generateId(): string {
  const day = new Date().toISOString().slice(0, 10).replaceAll('-', '')
  return `k${day}-${randomBytes(4).toString('hex')}`
}

function formatGrantCount(grants: number): string {
  return grants === 1 ? '1 grant' : `${formatNumber(grants)} grants`
}
