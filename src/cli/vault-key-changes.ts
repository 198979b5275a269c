import { defineCommand, JSON_OPTION, printResult } from './command.ts'
import { UsageError } from './exit.ts'
import { createStderrLogger } from './operator.ts'
import {
  describeInstance,
  formatGrantCount,
  promoteForAll,
  refuse,
  refuseIfLacked,
  ROTATION_PAGE,
  runWithKeys
} from './vault-key-operator.ts'
import { countKeyDependents, giveUpKey } from '../grants/give-up-key.ts'
import { verifyKeyring } from '../grants/verify-keys.ts'
import { formatNumber } from '../lib/formats.ts'
import { findCurrentKey } from '../store/repositories/vault-keys.ts'
import { removeKeyEntry } from '../vault/key-file.ts'
import { KEY_ID_PATTERN } from '../vault/keyring.ts'
import { parseKeyId } from '../vault/vault.ts'

const ID_ARGUMENT = { name: 'id', description: 'The id of the key.' } as const

export const promoteKey = defineCommand({
  description:
    'Make a vault key the one that encrypts, for all instances. Refuses while a live instance lacks\n' +
    `the key, and names it (${ROTATION_PAGE}).`,
  argument: ID_ARGUMENT,
  options: { json: JSON_OPTION },
  examples: [['k2026', 'After `connector keys add --id k2026`, when every instance has it.']],
  usesDatabase: true,
  async run({ json }, id) {
    assertKeyId(id)
    await runWithKeys(async (store, { keyring, source }) => {
      if (keyring.find(id) === undefined) refuse(`${source} of this command lacks the key "${id}".`)
      const { previous } = await promoteForAll({ store, source, mayLackKeys: true }, keyring, id)
      printResult(
        json,
        { key: id, previous },
        `${id} encrypts from now on; every instance follows within seconds.\n` +
          'Next: run `connector keys rotate`.'
      )
    })
  }
})

export const removeKey = defineCommand({
  description:
    'Remove a vault key from the file of VAULT_KEYS_FILE, or say what to remove. Refuses while\n' +
    `anything needs the key (${ROTATION_PAGE}).`,
  argument: ID_ARGUMENT,
  options: { json: JSON_OPTION },
  examples: [['k2025', 'After `connector keys rotate`.']],
  usesDatabase: true,
  async run({ json }, id) {
    assertKeyId(id)
    await runWithKeys(async (store, { keyring, source, file }) => {
      const { keyId: currentId } = await verifyKeyring({ store, source }, keyring)
      if (id === currentId) {
        refuse(`"${id}" is the current key. Promote another one first (connector keys promote).`)
      }
      const usedBy = (await store.instances.listLive()).find(
        ({ currentKeyId }) => currentKeyId === id
      )
      if (usedBy !== undefined) {
        refuse(
          `The live instance ${describeInstance(usedBy)} still encrypts with "${id}". Wait some seconds.`
        )
      }
      const { grants, connections } = await countKeyDependents(store, id)
      const isArchiveKey = (await store.vaultKeys.list()).some(
        ({ signingKey }) => signingKey !== null && parseKeyId(signingKey) === id
      )
      if (grants + connections > 0 || isArchiveKey) {
        refuse(
          `"${id}" still encrypts ${formatGrantCount(grants)} and signs ${formatNumber(connections)} ` +
            'connections. Run `connector keys rotate` first.'
        )
      }
      const next =
        'Next: remove it from the keys of every other instance too, and send each one SIGHUP or restart ' +
        'it. Keep a copy of the key as long as you keep backups that need it.'
      const isRemoved = file !== null && removeKeyEntry(file, id)
      printResult(
        json,
        { key: id, removed_from: isRemoved ? file : null },
        isRemoved
          ? `Removed the key ${id} from ${file}.\n${next}`
          : `Nothing needs the key ${id} any more. ` +
              (keyring.find(id) === undefined
                ? `${source} does not have it.`
                : `Remove its entry from ${source}, and restart.`) +
              `\n${next}`
      )
    })
  }
})

export const giveUp = defineCommand({
  description:
    'Give up a lost vault key: the people whose tokens only it decrypts have to connect again. If it is\n' +
    'the current key, the first key of the settings takes its place. If the key is found later, their\n' +
    `connections work again (${ROTATION_PAGE}).`,
  argument: ID_ARGUMENT,
  options: {
    yes: { flags: '--yes', description: 'Do it. Without this option, only say what would happen.' },
    json: JSON_OPTION
  },
  examples: [
    ['k2025', 'How many people it concerns.'],
    ['k2025 --yes', 'Give the key up.']
  ],
  usesDatabase: true,
  async run({ yes, json }, id) {
    assertKeyId(id)
    await runWithKeys(async (store, { keyring, source }) => {
      if (keyring.find(id) !== undefined) refuse(`${source} has the key "${id}": it is not lost.`)
      const owner = (await store.instances.listLive()).find(({ keyIds }) => keyIds.includes(id))
      if (owner !== undefined) {
        refuse(
          `The live instance ${describeInstance(owner)} has the key "${id}": copy it from there.`
        )
      }
      const [nextId = ''] = keyring.ids
      const isCurrent = findCurrentKey(await store.vaultKeys.list())?.id === id
      if (isCurrent) refuseIfLacked(nextId, await store.instances.listLive())
      const { grants, connections } = await countKeyDependents(store, id)
      const concerned = `${formatGrantCount(grants)} and ${formatNumber(connections)} signed connections`
      if (!yes) {
        refuse(
          `${concerned} need the key "${id}". Their people would have to connect again. ` +
            (isCurrent ? `It is the current key: "${nextId}" would encrypt from then on. ` : '') +
            'Nothing was changed. Run the command again with --yes to give the key up.'
        )
      }
      const settings = { store, source, mayLackKeys: true, givenUpId: id }
      const vault = isCurrent
        ? (await promoteForAll(settings, keyring, nextId)).vault
        : await verifyKeyring(settings, keyring)
      const result = await giveUpKey({ store, vault, keyring }, id, createStderrLogger())
      printResult(
        json,
        { key: id, ...result },
        `Gave up the key ${id}: ${formatGrantCount(result.grants)} and ` +
          `${formatNumber(result.connections)} signed connections needed it.\n` +
          'Next: ask these people to connect again; the connections are in the state needs_reconnect. ' +
          'If the key is found, add it again.'
      )
    })
  }
})

/** Refuses to run for what cannot be the id of a key. */
function assertKeyId(id: string): void {
  if (!KEY_ID_PATTERN.test(id)) {
    throw new UsageError('The id must have 1 to 32 letters, digits, "-" or "_".')
  }
}
