import { AppError } from '../lib/errors.ts'
import type { Log } from '../lib/http-client.ts'
import { earlyMs, outlook, type Need } from './token-decision.ts'
import { openReadable } from './decrypt.ts'
import { createRefresh, type RefreshSettings } from './refresh.ts'
import { openAccess } from './encrypt.ts'

/** What an opened token is remembered for: well inside the ten minutes that a replaced one works, and inside the ten seconds after which an erased one must not be used. */
const REMEMBERED_MS = 5_000
const MOST_REMEMBERED = 10_000
const MIN_VALIDITY_MS = 60_000

export interface TokenRequest extends Partial<Need> {
  log: Log
}

interface Remembered {
  token: string
  goodUntil: number
  readAt: number
}

/** The only way to a token. */
export function createAccess(settings: RefreshSettings) {
  const { store, now } = settings
  const { renew, settled } = createRefresh(settings)
  const renewing = new Map<string, Promise<string>>()
  const remembered = new Map<string, Remembered>()

  /**
   * A token that is valid for at least `minValidity` milliseconds (default: a minute), refreshed when its end is near.
   * Callers in one process share a refresh; processes share it through the database.
   *
   * @throws AppError `not_connected`, `needs_reconnect`, `oauth_misconfigured`, or an `upstream_…` code with the time of the next try
   */
  async function accessToken(
    grantId: string,
    { minValidity = MIN_VALIDITY_MS, refused, log }: TokenRequest
  ): Promise<string> {
    const known = remembered.get(grantId)
    if (
      known !== undefined &&
      known.token !== refused &&
      isFresh(known.readAt) &&
      known.goodUntil - now() >= minValidity
    ) {
      return known.token
    }
    const need = { minValidity, refused }
    const grant = await store.grants.get(grantId)
    if (grant === undefined) throw new AppError('not_connected', 'This connection is gone.')
    const view = outlook(grant, await openReadable(settings, grant, log, openAccess), need, now())
    if (view.kind !== 'use') return await shared(grantId, need, log)
    // Not remembered up to its end: when that is near, the grant is to be looked at again.
    remember(grantId, {
      token: view.token,
      goodUntil: grant.accessExpiresAt.getTime() - earlyMs(grant),
      readAt: now()
    })
    return view.token
  }

  async function shared(grantId: string, need: Need, log: Log): Promise<string> {
    const underWay = renewing.get(grantId)
    if (underWay !== undefined) {
      await underWay
      // What the others waited for may not be good enough, or be the very token that this caller has just seen refused.
      return await accessToken(grantId, { ...need, log })
    }
    const mine = renew(grantId, need, log).finally(() => {
      renewing.delete(grantId)
    })
    renewing.set(grantId, mine)
    remembered.delete(grantId)
    return await mine
  }

  function isFresh(readAt: number): boolean {
    const age = now() - readAt
    return age >= 0 && age < REMEMBERED_MS
  }

  function remember(grantId: string, entry: Remembered): void {
    if (remembered.size >= MOST_REMEMBERED) remembered.clear()
    remembered.set(grantId, entry)
  }

  return {
    accessToken,

    /** Forgets a token that must not be used again. */
    forget(grantId: string): void {
      remembered.delete(grantId)
    },

    /** Drops what is remembered longer than it is used: clear tokens have no business in memory. */
    sweep(): void {
      for (const [id, { readAt }] of remembered) if (!isFresh(readAt)) remembered.delete(id)
    },

    settled
  }
}

export type Access = ReturnType<typeof createAccess>
