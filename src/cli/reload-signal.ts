import type { FastifyInstance } from 'fastify'

/** Node's default for this signal ends the process, as does close-with-grace. */
export const RELOAD_SIGNAL = 'SIGHUP'

/** SIGHUP reads the file of the vault's keys again. */
export function reloadOnHangup({
  log,
  reloadVaultKeys
}: Pick<FastifyInstance, 'log' | 'reloadVaultKeys'>): void {
  process.on(RELOAD_SIGNAL, () => {
    reloadVaultKeys().catch((err: unknown) => {
      log.error({ event: 'vault_keys_refused', err }, 'The vault keys could not be read again.')
    })
  })
}
