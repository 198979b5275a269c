import { hasScope, type Principal } from '../access/rules.ts'
import { AppError } from '../lib/errors.ts'
import type { Store } from '../store/index.ts'
import type { UserRow } from '../store/repositories/users.ts'

/**
 * Finds the user whom a caller names by address, or creates one. Logins are for callers that may
 * connect accounts; that alone neither creates users nor tells who has which id.
 *
 * @throws AppError `forbidden` without the scope to read or create users, `user_not_found` for an
 *   unknown address without the scope to create users
 */
export async function findNamedUser(
  { users }: Pick<Store, 'users'>,
  principal: Principal,
  email: string,
  displayName: string | null
): Promise<UserRow> {
  if (hasScope(principal, 'users:write')) return (await users.findOrCreate(email, displayName)).user
  if (!hasScope(principal, 'users:read')) {
    throw new AppError(
      'forbidden',
      'The key lacks the scope users:read or users:write: name the user by id.'
    )
  }
  const user = await users.find(email)
  if (user === undefined) {
    throw new AppError(
      'user_not_found',
      'No user has this address, and the key lacks the scope users:write to create one.'
    )
  }
  return user
}
