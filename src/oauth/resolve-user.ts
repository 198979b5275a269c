import { AppError } from '../lib/errors.ts'
import { isEmail } from '../lib/formats.ts'
import type { Store } from '../store/index.ts'
import type { UserRow } from '../store/repositories/users.ts'
import type { LoginFlowRow } from '../store/repositories/login-flows.ts'
import { parseUserHint, type UserHint } from '../lib/user-hint.ts'

/** @throws AppError `user_not_found` */
export async function requireUser({ users }: Store, id: number): Promise<UserRow> {
  const user = await users.get(id)
  if (user === undefined) throw new AppError('user_not_found', 'No user has this id.')
  return user
}

/**
 * Checks that the hint names a user who exists, or an email address for which one can be created.
 * Otherwise the tokens would go to another user.
 *
 * @throws AppError `user_not_found`
 */
export async function validateHint({ users }: Store, hint: UserHint): Promise<void> {
  if (hint === undefined) return
  if (
    hint !== 'invalid' &&
    ('email' in hint ? isEmail(hint.email) : (await users.get(hint.userId)) !== undefined)
  ) {
    return
  }
  throw new AppError('user_not_found', 'The state names a user that does not exist.')
}

/**
 * Checks at login that the state can name a user, so that nobody consents in vain.
 *
 * @throws AppError `validation_failed` for an id or address that cannot be, `user_not_found` for
 *   an unknown id
 */
export async function requirePossibleHint(store: Store, hint: UserHint): Promise<void> {
  const isPossible =
    hint !== 'invalid' && (hint === undefined || !('email' in hint) || isEmail(hint.email))
  if (!isPossible) {
    const detail =
      'The state names a user by an id or an email address that cannot exist: ' +
      'user_id must be a positive whole number, email one bare email address.'
    throw new AppError('validation_failed', detail, { errors: [{ pointer: '/state', detail }] })
  }
  await validateHint(store, hint)
}

/**
 * Resolves who receives the tokens (docs/reference/contract.md#4-login-and-callback): the hinted
 * user, else the first one, else a new one.
 */
export async function resolveOwner({ users }: Store, hint: UserHint): Promise<number> {
  if (hint !== undefined && hint !== 'invalid') {
    return 'email' in hint ? (await users.findOrCreate(hint.email, null)).user.id : hint.userId
  }
  const firstUser = await users.findFirst()
  return (
    firstUser?.id ??
    (await users.findOrCreate(`oauth-user-${crypto.randomUUID()}@example.local`, null)).user.id
  )
}

/** Predicts the result of `resolveOwner` without creating a user. */
export async function predictOwner({ users }: Store, hint: UserHint): Promise<number | undefined> {
  if (hint === undefined) return (await users.findFirst())?.id
  if (hint === 'invalid') return undefined
  return 'email' in hint ? (await users.find(hint.email))?.id : hint.userId
}

/**
 * The address of the user whom a login is for, for a page that names it; null for a user who does
 * not exist yet.
 */
export async function describeOwner(
  store: Store,
  { userId, callerState }: Pick<LoginFlowRow, 'userId' | 'callerState'>
): Promise<string | null> {
  const hint = userId === null ? parseUserHint(callerState) : { userId }
  if (typeof hint === 'object' && 'email' in hint) return hint.email
  const ownerId = await predictOwner(store, hint)
  return ownerId === undefined ? null : ((await store.users.get(ownerId))?.email ?? null)
}
