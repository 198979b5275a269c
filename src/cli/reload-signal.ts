import type { FastifyInstance } from 'fastify'

/** Node's default for this signal ends the process, as does close-with-grace. */
export const RELOAD_SIGNAL = 'SIGHUP'

/**
 * SIGHUP reads the file of the vault's keys again. The handler is installed at once, because a start
 * may take minutes while it migrates.
 *
 * @returns a function to call when the keys can be reloaded: a signal that came before takes effect then
 */
export function listenForReloadSignal(): (
  app: Pick<FastifyInstance, 'log' | 'reloadVaultKeys'>
) => void {
  let isRequested = false
  let reload = (): void => {
    isRequested = true
  }
  process.on(RELOAD_SIGNAL, () => {
    reload()
  })
  return ({ log, reloadVaultKeys }) => {
    reload = () => {
      reloadVaultKeys().catch((err: unknown) => {
        log.error({ event: 'vault_keys_refused', err }, 'The vault keys could not be read again.')
      })
    }
    if (isRequested) reload()
  }
}
