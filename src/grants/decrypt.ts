import { AppError } from '../lib/errors.ts'
import type { Log } from '../lib/http-client.ts'
import type { Grant } from '../store/repositories/grants.ts'
import type { Store } from '../store/index.ts'
import { keyOf, UnreadableError, type Vault } from '../vault/vault.ts'
import { announce } from './log-state-change.ts'
import { openAll } from './encrypt.ts'

const UNREADABLE =
  'The stored tokens of this connection do not open with the vault keys at hand. Restore the key, or connect again.'

/** One that needs a new consent anyhow stays what it is. */
export async function markUnreadable(
  grants: Store['grants'],
  { id, version, keyId, state }: Pick<Grant, 'id' | 'version' | 'keyId' | 'state'>,
  log: Log
): Promise<void> {
  if (state === 'needs_reconnect') return
  const { changes } = await grants.change(id, version, 'needs_reconnect', {
    code: 'tokens_undecryptable',
    detail: UNREADABLE
  })
  // Of many that meet it at once, one changes something, and says so.
  if (changes.length > 0) {
    log.error({ event: 'grant_unreadable', grant_id: id, key_id: keyId }, UNREADABLE)
  }
  announce(changes, log)
}

/**
 * Opens what is stored of a grant, and keeps the truth about it: one that does not open needs a new consent, says so
 * once, loses nothing and troubles no other; one that opens again, because its key came back, works again.
 *
 * @param open which of the secrets
 * @throws AppError `needs_reconnect`
 */
export async function openReadable<T>(
  { store, vault }: { store: Store; vault: Vault },
  grant: Grant,
  log: Log,
  open: (vault: Vault, grant: Grant) => T
): Promise<T> {
  const unreadable = grant.errorCode === 'tokens_undecryptable'
  if (grant.state === 'needs_reconnect' && !unreadable) {
    throw new AppError(
      'needs_reconnect',
      grant.errorDetail ?? 'Atlassian no longer accepts this connection. Connect again.'
    )
  }
  try {
    if (unreadable) openAll(vault, grant)
    const opened = open(vault, grant)
    if (unreadable) await readableAgain(store, grant, log)
    return opened
  } catch (cause) {
    if (!(cause instanceof UnreadableError)) throw cause
    if (!unreadable) await markUnreadable(store.grants, grant, log)
    throw new AppError('needs_reconnect', UNREADABLE, { cause })
  }
}

async function readableAgain(
  { grants, sealed }: Store,
  { id, version, accessToken }: Grant,
  log: Log
): Promise<void> {
  await sealed.markSealedWith(id, accessToken, keyOf(accessToken))
  announce((await grants.change(id, version, 'active', null)).changes, log)
}
