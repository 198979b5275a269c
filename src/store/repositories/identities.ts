import { and, eq, sql } from 'drizzle-orm'
import type { Audit } from './audit-log.ts'
import type { Engine, WithStatement } from '../engine.ts'
import type { Users } from './users.ts'

/** A person as an identity provider knows them. `email` only where the provider has verified it. */
export interface Identity {
  issuer: string
  subject: string
  email: string | null
  displayName: string | null
}

/** Which users are whom at an identity provider. */
export function identities(
  { db, tables: { identities, users: userTable } }: Engine,
  users: Users,
  now: () => number,
  { inSteps }: Audit
) {
  const is = ({ issuer, subject }: Identity) =>
    and(eq(identities.issuer, issuer), eq(identities.subject, subject))

  async function find(identity: Identity): Promise<number | undefined> {
    const [row] = await db
      .select({ userId: identities.userId })
      .from(identities)
      .where(is(identity))
    return row?.userId
  }

  /** Says who an identity is, once. @returns who it is; undefined where the user is somebody else of this provider already */
  async function joined(identity: Identity, userId: number): Promise<number | undefined> {
    const { issuer, subject } = identity
    return await inSteps(function* (tx, tell) {
      // Written first, so that of two who prove one address at the same moment the second sees the first.
      yield tx
        .update(userTable)
        .set({ displayName: sql`${userTable.displayName}` })
        .where(eq(userTable.id, userId))
      const [known] = yield tx
        .select({ userId: identities.userId })
        .from(identities)
        .where(is(identity))
      if (known !== undefined) return Number(known.user_id)
      const [other] = yield tx
        .select({ id: identities.id })
        .from(identities)
        .where(and(eq(identities.issuer, issuer), eq(identities.userId, userId)))
      if (other !== undefined) return undefined
      const made = yield tx
        .insert(identities)
        .values({ issuer, subject, userId, createdAt: new Date(now()) })
        .onConflictDoNothing()
        .returning({ id: identities.id })
      tell(
        ...made.map(
          ({ id }) => ({ action: 'identity_linked', userId, detail: { identity: id } }) as const
        )
      )
      return userId
    })
  }

  /** The user with the verified address, if it is one. */
  async function byAddress(identity: Identity): Promise<number | undefined> {
    const { email, displayName } = identity
    return email === null
      ? undefined
      : await joined(identity, (await users.save(email, displayName)).user.id)
  }

  async function removed(userId: number): Promise<void> {
    await inSteps(function* (tx, tell) {
      yield users.removing(userId)(tx)
      tell({ action: 'user_removed', userId })
    })
  }

  return {
    /** The user that this identity is, made on first sight. */
    async userOf(identity: Identity): Promise<number> {
      const known = (await find(identity)) ?? (await byAddress(identity))
      if (known !== undefined) return known
      const { user } = await users.save(
        `oauth-user-${crypto.randomUUID()}@example.local`,
        identity.displayName
      )
      const userId = await joined(identity, user.id)
      if (userId === undefined) throw new Error('A new user is somebody already')
      // Another request of the same person was faster.
      if (userId !== user.id) await removed(user.id)
      return userId
    },

    /** Who somebody is at identity providers. */
    async list(userId: number) {
      return await db
        .select({
          issuer: identities.issuer,
          subject: identities.subject,
          createdAt: identities.createdAt
        })
        .from(identities)
        .where(eq(identities.userId, userId))
        .orderBy(identities.id)
    },

    /** Whoever a user was is a stranger from now on. */
    forgetting:
      (userId: number): WithStatement =>
      (tx) =>
        tx.delete(identities).where(eq(identities.userId, userId))
  }
}
