import { and, eq, sql } from 'drizzle-orm'
import type { AuditLog } from './audit-log.ts'
import type { Engine, StatementBuilder } from '../engine.ts'
import type { UserRepository } from './users.ts'

/** A person as an identity provider knows them. `email` only where the provider has verified it. */
export interface Identity {
  issuer: string
  subject: string
  email: string | null
  displayName: string | null
}

/** Which users are whom at an identity provider. */
export function createIdentityRepository(
  { db, tables: { identities, users: userTable } }: Engine,
  users: UserRepository,
  now: () => number,
  { runAudited }: AuditLog
) {
  const matchesIdentity = ({ issuer, subject }: Identity) =>
    and(eq(identities.issuer, issuer), eq(identities.subject, subject))

  async function findUserId(identity: Identity): Promise<number | undefined> {
    const [row] = await db
      .select({ userId: identities.userId })
      .from(identities)
      .where(matchesIdentity(identity))
    return row?.userId
  }

  /** Says who an identity is, once. @returns who it is; undefined where the user is somebody else of this provider already */
  async function linkUser(identity: Identity, userId: number): Promise<number | undefined> {
    const { issuer, subject } = identity
    return await runAudited(function* (tx, record) {
      // Written first, so that of two who prove one address at the same moment the second sees the first.
      yield tx
        .update(userTable)
        .set({ displayName: sql`${userTable.displayName}` })
        .where(eq(userTable.id, userId))
      const [existing] = yield tx
        .select({ userId: identities.userId })
        .from(identities)
        .where(matchesIdentity(identity))
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

  /** The user with the verified address, if it is one. */
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
    /** The user that this identity is, made on first sight. */
    async resolveUser(identity: Identity): Promise<number> {
      const existing = (await findUserId(identity)) ?? (await linkByEmail(identity))
      if (existing !== undefined) return existing
      const { user } = await users.findOrCreate(
        `oauth-user-${crypto.randomUUID()}@example.local`,
        identity.displayName
      )
      const userId = await linkUser(identity, user.id)
      if (userId === undefined) throw new Error('A new user is somebody already')
      // Another request of the same person was faster.
      if (userId !== user.id) await removeUser(user.id)
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
    deleteForUserStatement:
      (userId: number): StatementBuilder =>
      (tx) =>
        tx.delete(identities).where(eq(identities.userId, userId))
  }
}
