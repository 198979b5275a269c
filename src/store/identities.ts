import { and, eq } from 'drizzle-orm'
import type { Engine } from './engine.ts'
import type { Users } from './users.ts'

/** A person as an identity provider knows them. `email` only where the provider has verified it. */
export interface Identity { issuer: string, subject: string, email: string | null, displayName: string | null }

/** Which users are whom at an identity provider. */
export function identities ({ db, tables: { identities }, write }: Engine, users: Users, now: () => number) {
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
      await write(() => db.insert(identities).values({ issuer: identity.issuer, subject: identity.subject, userId, createdAt: new Date(now()) }).onConflictDoNothing())
      const found = await find(identity)
      if (found === undefined) throw new Error('An identity vanished between two statements')
      return found
    }
  }
}

function nameless (): string {
  return `oauth-user-${crypto.randomUUID()}@example.local`
}
