import { and, eq, notExists, sql } from 'drizzle-orm'
import type { Engine, WithStatement } from './engine.ts'

/** One site of a grant, as accessible-resources names it. `url` is what people open, never the gateway. */
export interface Site { cloudId: string, name: string, url: string }

export interface Grant {
  id: string
  clientId: string
  accountId: string
  scopes: string
  state: string
  /** Sealed by the vault, like `refreshToken`. */
  accessToken: string
  refreshToken: string | null
  accessExpiresAt: Date
  consentedAt: Date
  version: number
}

export interface Connection { userId: number, provider: string, grantId: string, sites: Site[], connectedAt: Date }

/** The token columns that a refresh replaces. */
export type FreshTokens = Pick<Grant, 'accessToken' | 'refreshToken' | 'accessExpiresAt'>

export function grants ({ db, tables: { grants, connections }, write, atomically, prepare }: Engine, now: () => number) {
  const held = prepare(db.select({ scopes: grants.scopes }).from(connections).innerJoin(grants, eq(connections.grantId, grants.id))
    .where(and(eq(connections.userId, sql.placeholder('userId')), eq(grants.clientId, sql.placeholder('clientId')))))

  return {
    /**
     * Saves what a consent brought, who holds it, and what `also` says, together. An older consent of the same account at the same client
     * is replaced, because Atlassian has replaced it too (atlassian.md section 0, fact 6).
     */
    async connect (grant: Omit<Grant, 'version' | 'state' | 'consentedAt'>, connection: { userId: number, provider: string, sites: Site[] }, also: WithStatement[] = []): Promise<void> {
      const fresh = { ...grant, state: 'active', consentedAt: new Date(now()) }
      const row = { ...connection, sites: JSON.stringify(connection.sites), grantId: grant.id, connectedAt: new Date(now()) }
      await atomically((tx) => [
        tx.insert(grants).values({ ...fresh, version: 1 })
          .onConflictDoUpdate({ target: grants.id, set: { ...fresh, version: sql`${grants.version} + 1` } }),
        tx.insert(connections).values(row)
          .onConflictDoUpdate({ target: [connections.userId, connections.provider], set: row }),
        // Whoever connects another account leaves the old one's tokens behind, and nobody needs them.
        tx.delete(grants).where(notExists(tx.select({ id: connections.id }).from(connections).where(eq(connections.grantId, grants.id)))),
        ...also.map((statement) => statement(tx))
      ])
    },

    async get (id: string): Promise<Grant | undefined> {
      return (await db.select().from(grants).where(eq(grants.id, id)))[0]
    },

    /** Replaces the tokens if nobody else has since `version`: the loser reads again and never overwrites a newer pair. */
    async swap (id: string, version: number, fresh: FreshTokens): Promise<boolean> {
      const swapped = await write(() => db.update(grants).set({ ...fresh, state: 'active', version: version + 1 })
        .where(and(eq(grants.id, id), eq(grants.version, version))).returning({ id: grants.id }))
      return swapped.length === 1
    },

    /** Remembers that only a new consent helps, if nobody has stored newer tokens since `version`. */
    async giveUp (id: string, version: number): Promise<void> {
      await write(() => db.update(grants).set({ state: 'needs_reconnect' }).where(and(eq(grants.id, id), eq(grants.version, version))))
    },

    /** Whether a user's grant for a product works, as far as is known, and reaches a site. */
    async isConnected (connection: Connection | undefined): Promise<boolean> {
      if (connection === undefined || connection.sites.length === 0) return false
      const [grant] = await db.select({ state: grants.state }).from(grants).where(eq(grants.id, connection.grantId))
      return grant?.state === 'active'
    },

    async connection (userId: number, provider: string): Promise<Connection | undefined> {
      const [row] = await db.select().from(connections).where(and(eq(connections.userId, userId), eq(connections.provider, provider)))
      return row === undefined ? undefined : { ...row, sites: JSON.parse(row.sites) as Site[] }
    },

    /** What this user's connections already hold at this client: a new consent has to ask for it again or lose it. */
    async heldScopes (userId: number, clientId: string): Promise<string[]> {
      const rows = await held({ userId, clientId })
      return rows.flatMap(({ scopes }) => String(scopes).split(' ')).filter(Boolean)
    }
  }
}
