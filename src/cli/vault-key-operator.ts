import { EXIT_CODES } from './exit.ts'
import { withStore } from './operator.ts'
import { loadSettings } from '../config/load.ts'
import { StartError } from '../lib/errors.ts'
import { formatNumber } from '../lib/formats.ts'
import type { Store } from '../store/index.ts'
import { LIVE_MS, type LiveInstance } from '../store/repositories/instances.ts'
import type { LoadedKeys } from '../vault/source.ts'

/** Where the procedure is described. */
export const ROTATION_PAGE = 'docs/operations/rotate-a-key.md'

/** Runs a command with the database and the configured keys. */
export async function runWithKeys<Result>(
  command: (store: Store, keys: LoadedKeys) => Promise<Result>
): Promise<Result> {
  const { config, keys } = await loadSettings(process.env)
  return await withStore({ ...config, keys }, async (store) => await command(store, keys))
}

/** Ends a command that would do harm now; nothing has been changed. */
export function refuse(...sentences: string[]): never {
  throw new StartError(sentences, EXIT_CODES.failure)
}

/** Names an instance, so that an operator finds it. */
export function describeInstance({ id, host, pid }: LiveInstance): string {
  return `${id} (host ${host}, pid ${pid})`
}

/**
 * Refuses while a live instance lacks a key.
 *
 * @throws StartError that names each of them
 */
export function refuseIfLacked(keyId: string, live: readonly LiveInstance[]): void {
  const lackedBy = live.filter(({ keyIds }) => !keyIds.includes(keyId))
  if (lackedBy.length === 0) return
  refuse(
    ...lackedBy.map(
      (instance) => `The live instance ${describeInstance(instance)} lacks the key "${keyId}".`
    ),
    'Give it the key, restart it or send it SIGHUP, and run this command again. ' +
      `An instance that has died counts as live for ${LIVE_MS / 1000} s. Nothing was changed.`
  )
}

export function formatGrantCount(grants: number): string {
  return grants === 1 ? '1 grant' : `${formatNumber(grants)} grants`
}
