import { and, eq, sql } from 'drizzle-orm'
import type { AuditLog } from './audit-log.ts'
import type { Engine, StatementBuilder } from '../engine.ts'
import type { UserRepository } from './users.ts'

/**
 * A person as an identity provider knows them. `email` is set only if the provider has verified
 * it.
 */
export interface Identity {
  issuer: string
  subject: string
  email: string | null
  displayName: string | null
}

/** Maps identities of identity providers to users. */
export function createIdentityRepository(
  { db, tables: { identities, users: userTable }, prepare }: Engine,
  users: UserRepository,
  now: () => number,
  { runAudited }: AuditLog
) {
  const selectUserId = prepare(
    db
      .select({ userId: identities.userId })
      .from(identities)
      .where(
        and(
          eq(identities.issuer, sql.placeholder('issuer')),
          eq(identities.subject, sql.placeholder('subject'))
        )
      )
  )

  async function findUserId({ issuer, subject }: Identity): Promise<number | undefined> {
    const [row] = await selectUserId({ issuer, subject })
    return row === undefined ? undefined : Number(row.user_id)
  }

  /**
   * Links an identity to a user, once.
   *
   * @returns the linked user; undefined if the user already has another identity of this
   *   provider
   */
  async function linkUser(identity: Identity, userId: number): Promise<number | undefined> {
    const { issuer, subject } = identity
    return await runAudited(function* (tx, record) {
      // Written first: of two transactions that prove one address at the same time, the second
      // sees the first.
      yield tx
        .update(userTable)
        .set({ displayName: sql`${userTable.displayName}` })
        .where(eq(userTable.id, userId))
      const [existing] = yield selectUserId.bind({ issuer, subject })
      if (existing !== undefined) return Number(existing.user_id)
      const [other] = yield tx
        .select({ id: identities.id })
        .from(identities)
        .where(and(eq(identities.issuer, issuer), eq(identities.userId, userId)))
      if (other !== undefined) return undefined
      const inserted = yield tx
        .insert(identities)
        .values({ issuer, subject, userId, createdAt: new Date(now()) })
        .onConflictDoNothing()
        .returning({ id: identities.id })
      record(
        ...inserted.map(
          ({ id }) => ({ action: 'identity_linked', userId, detail: { identity: id } }) as const
        )
      )
      return userId
    })
  }

  /** Links the identity to the user who has its verified address, if there is one. */
  async function linkByEmail(identity: Identity): Promise<number | undefined> {
    const { email, displayName } = identity
    return email === null
      ? undefined
      : await linkUser(identity, (await users.findOrCreate(email, displayName)).user.id)
  }

  async function removeUser(userId: number): Promise<void> {
    await runAudited(function* (tx, record) {
      yield users.deleteStatement(userId)(tx)
      record({ action: 'user_removed', userId })
    })
  }

  return {
    /** Returns the identity's user; creates one on first sight. */
    async resolveUser(identity: Identity): Promise<number> {
      const existing = (await findUserId(identity)) ?? (await linkByEmail(identity))
      if (existing !== undefined) return existing
      const { user } = await users.findOrCreate(
        `oauth-user-${crypto.randomUUID()}@example.local`,
        identity.displayName
      )
      const userId = await linkUser(identity, user.id)
      if (userId === undefined) throw new Error('A new user already has an identity')
      // A concurrent request of the same person has linked another user.
      if (userId !== user.id) await removeUser(user.id)
      return userId
    },

    /** Lists a user's identities. */
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

    /** Deletes the identities of a user who is removed. */
    deleteForUserStatement:
      (userId: number): StatementBuilder =>
      (tx) =>
        tx.delete(identities).where(eq(identities.userId, userId))
  }
}
