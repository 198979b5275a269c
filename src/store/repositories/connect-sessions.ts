import { and, eq, gt, isNull, lt } from 'drizzle-orm'
import type { Audit } from './audit-log.ts'
import type { Engine, WithStatement } from '../engine.ts'

export const SESSION_LIFE_MS = 15 * 60_000

/** A connect session: one person may connect these products, for a quarter of an hour. */
export interface Session {
  id: number
  userId: number
  products: string[]
  returnUrl: string | null
  expiresAt: Date
}

export function sessions(
  { db, tables: { sessions }, write }: Engine,
  now: () => number,
  { inSteps }: Audit
) {
  const columns = {
    id: sessions.id,
    userId: sessions.userId,
    products: sessions.products,
    returnUrl: sessions.returnUrl,
    expiresAt: sessions.expiresAt
  }
  const read = (row: Omit<Session, 'products'> & { products: string }): Session => ({
    ...row,
    products: row.products.split(' ')
  })
  const good = () => gt(sessions.expiresAt, new Date(now()))

  return {
    async create({
      products,
      ...session
    }: Omit<Session, 'id' | 'expiresAt'> & { hash: string }): Promise<Session> {
      const made = {
        ...session,
        createdAt: new Date(now()),
        expiresAt: new Date(now() + SESSION_LIFE_MS)
      }
      const id = await inSteps(function* (tx, tell) {
        const [row] = yield tx
          .insert(sessions)
          .values({ ...made, products: products.join(' ') })
          .returning({ id: sessions.id })
        tell({
          action: 'session_created',
          userId: session.userId,
          detail: { session: row?.id, products }
        })
        return Number(row?.id)
      })
      return {
        id,
        products,
        userId: made.userId,
        returnUrl: made.returnUrl,
        expiresAt: made.expiresAt
      }
    },

    /** The session of a token, or of the browser that has opened its link. */
    async find(by: { hash: string } | { browserHash: string }): Promise<Session | undefined> {
      const [row] = await db
        .select(columns)
        .from(sessions)
        .where(
          and(
            'hash' in by ? eq(sessions.hash, by.hash) : eq(sessions.browserHash, by.browserHash),
            good()
          )
        )
      return row === undefined ? undefined : read(row)
    },

    /** Ties a session to the first browser that opens its link. @returns undefined where another one has, or it is over */
    async open(hash: string, browserHash: string): Promise<Session | undefined> {
      const opened = await inSteps(function* (tx, tell) {
        const [row] = yield tx
          .update(sessions)
          .set({ browserHash })
          .where(and(eq(sessions.hash, hash), isNull(sessions.browserHash), good()))
          .returning({ id: sessions.id, userId: sessions.userId })
        if (row !== undefined) {
          tell({
            action: 'session_opened',
            userId: Number(row.user_id),
            detail: { session: row.id }
          })
        }
        return row !== undefined
      })
      const [row] = opened
        ? await db.select(columns).from(sessions).where(eq(sessions.hash, hash))
        : []
      return row === undefined ? undefined : read(row)
    },

    /** Those that are kept of somebody, whether over or not, and whether a browser has opened their link. */
    async list(userId: number) {
      const rows = await db
        .select({ ...columns, createdAt: sessions.createdAt, browserHash: sessions.browserHash })
        .from(sessions)
        .where(eq(sessions.userId, userId))
        .orderBy(sessions.id)
      return rows.map(({ browserHash, ...row }) => ({
        ...read(row),
        createdAt: row.createdAt,
        opened: browserHash !== null
      }))
    },

    /** Erases those of somebody who leaves. */
    forgetting:
      (userId: number): WithStatement =>
      (tx) =>
        tx.delete(sessions).where(eq(sessions.userId, userId)),

    async purge(): Promise<void> {
      await write(() => db.delete(sessions).where(lt(sessions.expiresAt, new Date(now()))))
    }
  }
}
