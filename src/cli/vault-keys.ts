import { randomBytes } from 'node:crypto'
import { defineCommand, JSON_OPTION, printResult } from './command.ts'
import { EXIT_CODES } from './exit.ts'
import { createStderrLogger } from './operator.ts'
import { createProgress, type ProgressOutput } from './progress.ts'
import {
  formatGrantCount,
  refuse,
  refuseIfLacked,
  ROTATION_PAGE,
  runWithKeys
} from './vault-key-operator.ts'
import { rotateKey } from '../grants/rotate-key.ts'
import { signExistingRows } from '../grants/sign-existing-rows.ts'
import { verifyKeyring } from '../grants/verify-keys.ts'
import { promoteFirstKey } from '../instances/current-key.ts'
import { formatNumber } from '../lib/formats.ts'
import type { Store } from '../store/index.ts'
import type { LiveInstance } from '../store/repositories/instances.ts'
import { findCurrentKey } from '../store/repositories/vault-keys.ts'
import { appendKeyEntry } from '../vault/key-file.ts'
import { generateKeyEntry, KEY_ID_PATTERN, type Keyring } from '../vault/keyring.ts'
import { loadStoreSettings } from '../config/load.ts'

const ID_OPTION = {
  flags: '--id <id>',
  description: 'The id of the key. Default: the date and random characters.',
  rule: 'must have 1 to 32 letters, digits, "-" or "_"',
  parse: (text: string) => (KEY_ID_PATTERN.test(text) ? text : undefined)
} as const

export const createKey = defineCommand({
  description:
    'Generate a vault key: one entry for VAULT_KEYS. It is printed once and stored nowhere.\n' +
    `To replace a key, use \`connector keys add\` (${ROTATION_PAGE}).`,
  options: { id: ID_OPTION, json: JSON_OPTION },
  examples: [
    ['', 'A key with a generated id.'],
    ['--id k2026', 'A key with the id k2026.']
  ],
  async run({ id = generateId(), json }) {
    const entry = generateKeyEntry(id)
    printResult(json, { id, entry }, entry)
    if (process.stdout.isTTY) {
      console.error('\nPut it into VAULT_KEYS. Store it apart from the database and its backups.')
    }
  }
})

export const addKey = defineCommand({
  description:
    'Generate a vault key and append it to the file of VAULT_KEYS_FILE, behind the others: it can be\n' +
    'read, and nothing is encrypted with it. Without a file, prints the entry for VAULT_KEYS.\n' +
    `The first step of replacing a key (${ROTATION_PAGE}).`,
  options: { id: ID_OPTION, json: JSON_OPTION },
  examples: [
    ['', 'A key with a generated id.'],
    ['--id k2026', 'A key with the id k2026.']
  ],
  async run({ id = generateId(), json }) {
    const { keys } = await loadStoreSettings(process.env)
    if (keys.keyring.find(id) !== undefined) refuse(`${keys.source} already has a key "${id}".`)
    const entry = generateKeyEntry(id)
    if (keys.file === null) {
      printResult(json, { id, entry }, entry)
      console.error(
        `Next: append this entry to ${keys.source} of every instance, behind the others and a comma, and ` +
          `restart each. Then run \`connector keys promote ${id}\`.`
      )
      return
    }
    appendKeyEntry(keys.file, entry)
    printResult(
      json,
      { id, file: keys.file },
      `Added the key ${id} to ${keys.file}.\n` +
        'Next: copy the file to every other instance, and send each one SIGHUP or restart it. ' +
        `\`connector keys list\` names those that lack it. Then run \`connector keys promote ${id}\`.`
    )
  }
})

export const listKeys = defineCommand({
  description:
    'List the vault keys, how many grants each one encrypts, and which live instances lack it. Keys\n' +
    'are not shown. Verifies that VAULT_KEYS has every key that a grant needs.',
  options: { json: JSON_OPTION },
  examples: [['', 'Which key encrypts, and who lacks which.']],
  usesDatabase: true,
  async run({ json }) {
    await runWithKeys(async (store, { keyring, source }) => {
      const keys = await readKeys(store, keyring)
      const current = keys.find(({ state }) => state === 'current')
      const remaining = keys
        .filter(({ state }) => state !== 'current')
        .reduce((sum, { grants }) => sum + grants, 0)
      const added = await findUnpromotedKeys(store, keyring)
      const summary =
        remaining > 0
          ? `${formatGrantCount(remaining)} left to rotate. Run \`connector keys rotate\`.`
          : added.length === 0
            ? `Nothing is left to rotate; ${source} needs only the key ${current?.id ?? ''}.`
            : describeUnpromotedKeys(added)
      const lines = keys.map(
        ({ id, state, grants, uses, lacked_by: lackedBy }) =>
          `${id}: ${STATE_TEXTS[state]}, encrypts ${formatGrantCount(grants)}, ` +
          `used ${formatNumber(uses)} times` +
          (lackedBy.length === 0 ? '' : `, lacked by ${lackedBy.join(', ')}`)
      )
      printResult(json, keys, [...lines, summary].join('\n'))
      await verifyKeyring({ store, source }, keyring)
    })
  }
})

export const rotateKeys = defineCommand({
  description:
    'Re-encrypt every grant with the current vault key, while the service runs. After an interruption\n' +
    'the same command continues. Refuses while a live instance lacks the key.',
  options: { json: JSON_OPTION },
  examples: [['', 'After `connector keys promote`.']],
  usesDatabase: true,
  async run({ json }) {
    return await runWithKeys(async (store, { keyring, source }) => {
      await verifyKeyring({ store, source }, keyring)
      const live = await store.instances.listLive()
      const deferred = await promoteFirstKey(
        store.vaultKeys,
        keyring,
        await store.vaultKeys.listWithUse(),
        live
      )
      if (deferred !== undefined) refuseIfLacked(deferred.keyId, live)
      // Again, because the current key may have changed: it signs from now on.
      const vault = await verifyKeyring({ store, source }, keyring)
      refuseIfLacked(vault.keyId, live)
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
      const added = await findUnpromotedKeys(store, keyring)
      const others = keyring.ids.filter((id) => id !== vault.keyId && !added.includes(id))
      printResult(
        json,
        { key: vault.keyId, reencrypted, remaining, undecryptable },
        `${formatGrantCount(reencrypted)} re-encrypted with ${vault.keyId}, ` +
          `${formatNumber(remaining)} left.` +
          (undecryptable > 0
            ? `\n${formatGrantCount(undecryptable)} cannot be decrypted with any key. ` +
              'Their users must connect again.'
            : '') +
          (remaining > 0
            ? '\nNext: run this command again.'
            : others.map((id) => `\nNext: run \`connector keys remove ${id}\`.`).join('') +
              (added.length > 0 ? `\n${describeUnpromotedKeys(added)}` : ''))
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
  const live = await store.instances.listLive()
  const currentId = findCurrentKey(knownKeys)?.id ?? keyring.ids[0]
  const ids = new Set([...keyring.ids, ...grantsByKey.keys(), ...knownKeys.map(({ id }) => id)])
  return [...ids].map((id) => {
    const grants = grantsByKey.get(id) ?? 0
    const isWanted = grants > 0 || keyring.find(id) !== undefined
    return {
      id,
      state: getKeyState(keyring, id, currentId),
      grants,
      uses: knownKeys.find((row) => row.id === id)?.uses ?? 0,
      lacked_by: isWanted ? listInstancesWithout(id, live) : []
    }
  })
}

/** Keys that were added and have never been the current one: their rotation has not begun. */
async function findUnpromotedKeys(store: Store, keyring: Keyring): Promise<string[]> {
  const keys = await store.vaultKeys.list()
  const promoted = new Set(keys.filter(({ promotion }) => promotion !== null).map(({ id }) => id))
  // No service of this version has opened the database yet.
  if (promoted.size === 0) return []
  return keyring.ids.filter((id) => !promoted.has(id))
}

function describeUnpromotedKeys(ids: readonly string[]): string {
  return ids
    .map(
      (id) =>
        `${id} encrypts nothing yet. When no instance lacks it, run \`connector keys promote ${id}\`.`
    )
    .join('\n')
}

function listInstancesWithout(keyId: string, live: readonly LiveInstance[]): string[] {
  return live.filter(({ keyIds }) => !keyIds.includes(keyId)).map(({ id }) => id)
}

function getKeyState(
  keyring: Keyring,
  id: string,
  currentId: string | undefined
): keyof typeof STATE_TEXTS {
  if (keyring.find(id) === undefined) return 'missing'
  return id === currentId ? 'current' : 'previous'
}

function generateId(): string {
  const day = new Date().toISOString().slice(0, 10).replaceAll('-', '')
  return `k${day}-${randomBytes(4).toString('hex')}`
}
