import { and, eq } from 'drizzle-orm'
import type { Audit } from './audit.ts'
import type { Engine, WithStatement } from './engine.ts'
import type { Users } from './users.ts'

/** A person as an identity provider knows them. `email` only where the provider has verified it. */
export interface Identity { issuer: string, subject: string, email: string | null, displayName: string | null }

/** Which users are whom at an identity provider. */
export function identities ({ db, tables: { identities }, inSteps }: Engine, users: Users, now: () => number, { recording }: Audit) {
  async function find ({ issuer, subject }: Pick<Identity, 'issuer' | 'subject'>): Promise<number | undefined> {
    const [row] = await db.select({ userId: identities.userId }).from(identities).where(and(eq(identities.issuer, issuer), eq(identities.subject, subject)))
    return row?.userId
  }

  /** The user with the verified address, unless that is somebody else of this provider already. */
  async function namesake ({ issuer, email, displayName }: Identity): Promise<number> {
    const { user } = await users.save(email ?? nameless(), displayName)
    const [taken] = await db.select({ userId: identities.userId }).from(identities).where(and(eq(identities.issuer, issuer), eq(identities.userId, user.id)))
    return taken === undefined ? user.id : (await users.save(nameless(), displayName)).user.id
  }

  return {
    /** The user that this identity is, made on first sight. */
    async userOf (identity: Identity): Promise<number> {
      const known = await find(identity)
      if (known !== undefined) return known
      const userId = await namesake(identity)
      await inSteps(function * (tx) {
        const made = yield tx.insert(identities).values({ issuer: identity.issuer, subject: identity.subject, userId, createdAt: new Date(now()) }).onConflictDoNothing().returning({ id: identities.id })
        yield * recording(tx, made.map(({ id }) => ({ action: 'identity_linked', userId, detail: { identity: id } })))
      })
      const found = await find(identity)
      if (found === undefined) throw new Error('An identity vanished between two statements')
      return found
    },

    /** Who somebody is at identity providers. */
    async list (userId: number) {
      return await db.select({ issuer: identities.issuer, subject: identities.subject, createdAt: identities.createdAt }).from(identities).where(eq(identities.userId, userId)).orderBy(identities.id)
    },

    /** Erases those of somebody who leaves. */
    forgetting: (userId: number): WithStatement => (tx) => tx.delete(identities).where(eq(identities.userId, userId))
  }
}

function nameless (): string {
  return `oauth-user-${crypto.randomUUID()}@example.local`
}
