import { asc, eq, gt, sql, type SQL } from 'drizzle-orm'
import type { Tables } from '../../../drizzle/tables.ts'
import { isStorableText } from '../../lib/formats.ts'
import type { AuditLog } from './audit-log.ts'
import type { Engine, RawRow, StatementBuilder } from '../engine.ts'
import { createRowMapper } from '../row-mapper.ts'

export interface UserRow {
  id: number
  email: string
  displayName: string | null
}

/** Prefix of the address of a removed user, who is never a first user either. */
const REMOVED_USER_PREFIX = 'removed-user-'

/** The id of the first user, as part of a statement. */
export const selectFirstUserId = (users: Tables['users']): SQL =>
  sql`(select min(${users.id}) from ${users}
    where ${users.emailKey} not like ${`${REMOVED_USER_PREFIX}%`})`

/**
 * Users by id and address. Addresses are compared without case and in Unicode NFC, and stored as
 * given.
 */
export function createUserRepository(
  { db, tables: { users }, prepare }: Engine,
  now: () => number,
  { runAudited }: AuditLog
) {
  const columns = { id: users.id, email: users.email, displayName: users.displayName }
  const toUser = createRowMapper(columns)
  const toFirst = ([row]: RawRow[]) => (row === undefined ? undefined : toUser(row))
  const selectById = prepare(
    db
      .select(columns)
      .from(users)
      .where(eq(users.id, sql.placeholder('id')))
  )
  const selectByEmailKey = prepare(
    db
      .select(columns)
      .from(users)
      .where(eq(users.emailKey, sql.placeholder('key')))
  )
  const selectFirst = prepare(
    db
      .select(columns)
      .from(users)
      .where(eq(users.id, selectFirstUserId(users)))
  )
  const selectPage = prepare(
    db
      .select(columns)
      .from(users)
      .where(gt(users.id, sql.placeholder('after')))
      .orderBy(asc(users.id))
      .limit(sql.placeholder('limit'))
  )
  const insert = prepare(
    db
      .insert(users)
      .values({
        email: sql.placeholder('email'),
        emailKey: sql.placeholder('emailKey'),
        displayName: sql.placeholder('displayName'),
        createdAt: sql.placeholder('createdAt')
      })
      .onConflictDoNothing({ target: users.emailKey })
      .returning(columns)
  )

  // An address that cannot be stored belongs to nobody; PostgreSQL rejects the query for it.
  const find = async (email: string): Promise<UserRow | undefined> =>
    isStorableText(email)
      ? toFirst(await selectByEmailKey({ key: normalizeEmail(email) }))
      : undefined

  return {
    async get(id: number): Promise<UserRow | undefined> {
      return toFirst(await selectById({ id }))
    },

    /** When the user was created. */
    async getCreatedAt(id: number): Promise<Date | undefined> {
      const [row] = await db
        .select({ createdAt: users.createdAt })
        .from(users)
        .where(eq(users.id, id))
      return row?.createdAt
    },

    /**
     * The user with the lowest id, used for a request that names no owner
     * (docs/reference/contract.md#1-endpoints).
     */
    async findFirst(): Promise<UserRow | undefined> {
      return toFirst(await selectFirst({}))
    },

    find,

    /** Finds or creates a user; never changes an existing one. */
    async findOrCreate(
      email: string,
      displayName: string | null
    ): Promise<{ user: UserRow; created: boolean }> {
      // Looks up first: an insert that meets a conflict still uses up an id.
      const existing = await find(email)
      if (existing !== undefined) return { user: existing, created: false }
      const emailKey = normalizeEmail(email)
      return await runAudited(function* (_tx, record) {
        const createdAt = new Date(now())
        const user = toFirst(yield insert.bind({ email, emailKey, displayName, createdAt }))
        if (user !== undefined) {
          record({ action: 'user_created', userId: user.id })
          return { user, created: true }
        }
        const concurrent = toFirst(yield selectByEmailKey.bind({ key: emailKey }))
        if (concurrent === undefined) throw new Error('A user disappeared between two statements')
        return { user: concurrent, created: false }
      }, true)
    },

    deleteStatement:
      (id: number): StatementBuilder =>
      (tx) =>
        tx.delete(users).where(eq(users.id, id)),

    /** The row stays because others refer to it, but no longer identifies a person. */
    anonymizeStatement:
      (id: number): StatementBuilder =>
      (tx) => {
        const email = `${REMOVED_USER_PREFIX}${crypto.randomUUID()}@example.local`
        return tx
          .update(users)
          .set({ email, emailKey: normalizeEmail(email), displayName: null })
          .where(eq(users.id, id))
      },

    /** Oldest first, after the user with the id `after`. */
    async list(limit: number, after = 0): Promise<UserRow[]> {
      return (await selectPage({ after, limit })).map(toUser)
    }
  }
}

export type UserRepository = ReturnType<typeof createUserRepository>

/** Normalises an address for comparison: lower case, NFC. */
export function normalizeEmail(email: string): string {
  return email.normalize('NFC').toLowerCase()
}
