import { AppError } from '../errors.ts'
import type { Log } from '../http.ts'
import type { Grant } from '../store/grants.ts'
import type { Store } from '../store/index.ts'
import { UnreadableError, type Vault } from '../vault/vault.ts'
import { announce } from './announce.ts'
import { openAccess, openAll } from './sealing.ts'

const UNREADABLE = 'The stored tokens of this connection do not open with the vault keys at hand. Restore the key, or connect again.'

/** @returns whether the tokens were still these */
export async function markUnreadable (grants: Store['grants'], { id, version, keyId }: Pick<Grant, 'id' | 'version' | 'keyId'>, log: Log): Promise<boolean> {
  log.error({ event: 'grant_unreadable', grant_id: id, key_id: keyId }, UNREADABLE)
  const { done, changes } = await grants.change(id, version, 'needs_reconnect', { code: 'tokens_unreadable', detail: UNREADABLE })
  announce(changes, log)
  return done
}

/**
 * Opens what is stored of a grant, and keeps the truth about it: one that does not open needs a new consent, says so
 * once, loses nothing and troubles no other; one that opens again, because its key came back, works again.
 *
 * @param open which of the secrets; default: the access token
 * @throws AppError `needs_reconnect`
 */
export async function openReadable<T = string> ({ store: { grants }, vault }: { store: Store, vault: Vault }, grant: Grant, log: Log, open: (vault: Vault, grant: Grant) => T = openAccess as never): Promise<T> {
  const unreadable = grant.errorCode === 'tokens_unreadable'
  if (grant.state === 'needs_reconnect' && !unreadable) throw new AppError('needs_reconnect', grant.errorDetail ?? 'Atlassian no longer accepts this connection. Connect again.')
  try {
    if (unreadable) openAll(vault, grant)
    const opened = open(vault, grant)
    if (unreadable) announce((await grants.change(grant.id, grant.version, 'active', null)).changes, log)
    return opened
  } catch (cause) {
    if (!(cause instanceof UnreadableError)) throw cause
    if (!unreadable) await markUnreadable(grants, grant, log)
    throw new AppError('needs_reconnect', UNREADABLE, { cause })
  }
}
