import { and, eq, gt, isNull, lt } from 'drizzle-orm'
import type { AuditLog } from './audit-log.ts'
import type { Engine, StatementBuilder } from '../engine.ts'

export const SESSION_TTL_MS = 15 * 60_000

/** A connect session: lets one person connect these products for 15 minutes. */
export interface ConnectSession {
  id: number
  userId: number
  products: string[]
  returnUrl: string | null
  expiresAt: Date
  /** Whether a browser has opened its link. */
  isOpened: boolean
}

export function createConnectSessionRepository(
  { db, tables: { sessions }, write }: Engine,
  now: () => number,
  { runAudited }: AuditLog
) {
  const columns = {
    id: sessions.id,
    userId: sessions.userId,
    products: sessions.products,
    returnUrl: sessions.returnUrl,
    expiresAt: sessions.expiresAt,
    browserHash: sessions.browserHash
  }
  const toSession = ({
    browserHash,
    products,
    ...row
  }: Omit<ConnectSession, 'products' | 'isOpened'> & {
    products: string
    browserHash: string | null
  }): ConnectSession => ({
    ...row,
    products: products.split(' '),
    isOpened: browserHash !== null
  })
  const isActive = () => gt(sessions.expiresAt, new Date(now()))

  return {
    async create({
      products,
      ...session
    }: Omit<ConnectSession, 'id' | 'expiresAt' | 'isOpened'> & {
      hash: string
    }): Promise<ConnectSession> {
      const values = {
        ...session,
        createdAt: new Date(now()),
        expiresAt: new Date(now() + SESSION_TTL_MS)
      }
      const id = await runAudited(function* (tx, record) {
        const [row] = yield tx
          .insert(sessions)
          .values({ ...values, products: products.join(' ') })
          .returning({ id: sessions.id })
        record({
          action: 'session_created',
          userId: session.userId,
          detail: { session: row?.id, products }
        })
        return Number(row?.id)
      })
      return {
        id,
        products,
        userId: values.userId,
        returnUrl: values.returnUrl,
        expiresAt: values.expiresAt,
        isOpened: false
      }
    },

    /** Finds a session by its id, its token, or the browser that opened its link. */
    async find(
      by: { id: number } | { hash: string } | { browserHash: string }
    ): Promise<ConnectSession | undefined> {
      const [row] = await db
        .select(columns)
        .from(sessions)
        .where(
          and(
            'id' in by
              ? eq(sessions.id, by.id)
              : 'hash' in by
                ? eq(sessions.hash, by.hash)
                : eq(sessions.browserHash, by.browserHash),
            isActive()
          )
        )
      return row === undefined ? undefined : toSession(row)
    },

    /**
     * Binds a session to the first browser that opens its link.
     *
     * @returns undefined if another browser has opened it, or it has expired
     */
    async open(hash: string, browserHash: string): Promise<ConnectSession | undefined> {
      const opened = await runAudited(function* (tx, record) {
        const [row] = yield tx
          .update(sessions)
          .set({ browserHash })
          .where(and(eq(sessions.hash, hash), isNull(sessions.browserHash), isActive()))
          .returning({ id: sessions.id, userId: sessions.userId })
        if (row !== undefined) {
          record({
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
      return row === undefined ? undefined : toSession(row)
    },

    /**
     * Ends a session: its token, its link and its browser's cookie work no longer.
     *
     * @param statement run in the same transaction
     */
    async end({ id, userId }: ConnectSession, statement: StatementBuilder): Promise<void> {
      await runAudited(function* (tx, record) {
        const [row] = yield tx
          .delete(sessions)
          .where(eq(sessions.id, id))
          .returning({ id: sessions.id })
        if (row === undefined) return
        yield statement(tx)
        record({ action: 'session_ended', userId, detail: { session: id } })
      })
    },

    /**
     * Lists a user's stored sessions, expired ones included, and whether their link has been
     * opened.
     */
    async list(userId: number) {
      const rows = await db
        .select({ ...columns, createdAt: sessions.createdAt })
        .from(sessions)
        .where(eq(sessions.userId, userId))
        .orderBy(sessions.id)
      return rows.map((row) => ({ ...toSession(row), createdAt: row.createdAt }))
    },

    /** Deletes the sessions of a user who is removed. */
    deleteForUserStatement:
      (userId: number): StatementBuilder =>
      (tx) =>
        tx.delete(sessions).where(eq(sessions.userId, userId)),

    async purge(): Promise<void> {
      await write(() => db.delete(sessions).where(lt(sessions.expiresAt, new Date(now()))))
    }
  }
}
