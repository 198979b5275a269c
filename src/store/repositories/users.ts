import { asc, eq, gt, sql } from 'drizzle-orm'
import { isText } from '../../lib/formats.ts'
import type { Audit } from './audit-log.ts'
import type { Engine, RawRow, WithStatement } from '../engine.ts'

export interface UserRow {
  id: number
  email: string
  displayName: string | null
}

/** How the address begins of somebody who is nobody any more, and so nobody's first user either. */
const REMOVED = 'removed-user-'

/** People, by id and by address. Addresses are compared without case and in one Unicode form, and kept as given. */
export function users(
  { db, tables: { users }, prepare }: Engine,
  now: () => number,
  { inSteps }: Audit
) {
  const columns = { id: users.id, email: users.email, displayName: users.displayName }
  const byId = prepare(
    db
      .select(columns)
      .from(users)
      .where(eq(users.id, sql.placeholder('id')))
  )
  const byKey = prepare(
    db
      .select(columns)
      .from(users)
      .where(eq(users.emailKey, sql.placeholder('key')))
  )
  const first = prepare(
    db
      .select(columns)
      .from(users)
      .where(
        eq(
          users.id,
          sql`(select min(${users.id}) from ${users} where ${users.emailKey} not like ${`${REMOVED}%`})`
        )
      )
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

  // An address that could not be kept is nobody's, and not every engine lets itself be asked for it.
  const find = async (email: string): Promise<UserRow | undefined> =>
    isText(email) ? one(await byKey({ key: keyOf(email) })) : undefined

  return {
    async get(id: number): Promise<UserRow | undefined> {
      return one(await byId({ id }))
    },

    /** When somebody became a user. */
    async since(id: number): Promise<Date | undefined> {
      const [row] = await db
        .select({ createdAt: users.createdAt })
        .from(users)
        .where(eq(users.id, id))
      return row?.createdAt
    },

    /** The user with the lowest id: whom a request without an owner means (contract.md section 1). */
    async first(): Promise<UserRow | undefined> {
      return one(await first({}))
    },

    find,

    /** Finds or creates; never changes who is there. */
    async save(
      email: string,
      displayName: string | null
    ): Promise<{ user: UserRow; created: boolean }> {
      // Looked up first, because an insert that meets a conflict still uses up an id.
      const known = await find(email)
      if (known !== undefined) return { user: known, created: false }
      const made = await inSteps(function* (_tx, tell) {
        const user = one(
          yield insert.bind({
            email,
            emailKey: keyOf(email),
            displayName,
            createdAt: new Date(now())
          })
        )
        if (user !== undefined) tell({ action: 'user_created', userId: user.id })
        return user
      })
      if (made !== undefined) return { user: made, created: true }
      const found = await find(email)
      if (found === undefined) throw new Error('A user vanished between two statements')
      return { user: found, created: false }
    },

    removing:
      (id: number): WithStatement =>
      (tx) =>
        tx.delete(users).where(eq(users.id, id)),

    /** The row stays, because others point to it, and names nobody any more. */
    anonymising:
      (id: number): WithStatement =>
      (tx) => {
        const email = `${REMOVED}${crypto.randomUUID()}@example.local`
        return tx
          .update(users)
          .set({ email, emailKey: keyOf(email), displayName: null })
          .where(eq(users.id, id))
      },

    /** Oldest first, after the user with the id `after`. */
    async list(limit: number, after = 0): Promise<UserRow[]> {
      return await db
        .select(columns)
        .from(users)
        .where(gt(users.id, after))
        .orderBy(asc(users.id))
        .limit(limit)
    }
  }
}

export type Users = ReturnType<typeof users>

function one([row]: RawRow[]): UserRow | undefined {
  return row === undefined
    ? undefined
    : {
        id: row.id as number,
        email: row.email as string,
        displayName: row.display_name as string | null
      }
}

/** How addresses are compared. */
export function keyOf(email: string): string {
  return email.normalize('NFC').toLowerCase()
}
