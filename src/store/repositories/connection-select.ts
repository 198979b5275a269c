import { and, asc, eq, getTableColumns, sql, type SQL } from 'drizzle-orm'
import type { BindValue, Engine, PreparedStatement } from '../engine.ts'
import { createRowMapper, selectAs } from '../row-mapper.ts'

/** Reads connections together with their grants, of which they share names of columns. */
export function createConnectionSelect({
  db,
  tables: { connections, grants },
  prepare
}: Pick<Engine, 'db' | 'tables' | 'prepare'>) {
  const [connectionPrefix, grantPrefix] = ['c_', 'g_']
  const toConnectionRow = createRowMapper(getTableColumns(connections), connectionPrefix)
  const toGrantRow = createRowMapper(getTableColumns(grants), grantPrefix)
  const prepareWhere = (where: SQL | undefined): PreparedStatement =>
    prepare(
      db
        .select({
          ...selectAs(connectionPrefix, getTableColumns(connections)),
          ...selectAs(grantPrefix, getTableColumns(grants))
        })
        .from(connections)
        .innerJoin(grants, eq(connections.grantId, grants.id))
        .where(where)
        .orderBy(asc(connections.id))
    )
  const isOfUser = eq(connections.userId, sql`${sql.placeholder('userId')}`)
  const select = {
    one: prepareWhere(and(isOfUser, eq(connections.provider, sql`${sql.placeholder('provider')}`))),
    byUser: prepareWhere(isOfUser),
    byGrant: prepareWhere(eq(connections.grantId, sql`${sql.placeholder('grantId')}`))
  }

  /** @returns by id */
  return async (kind: keyof typeof select, values: Record<string, BindValue>) =>
    (await select[kind](values)).map((row) => ({
      connection: toConnectionRow(row),
      grant: toGrantRow(row)
    }))
}

export type ConnectionRow = Awaited<ReturnType<ReturnType<typeof createConnectionSelect>>>[number]
