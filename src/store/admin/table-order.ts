import type { Table as DrizzleTable } from 'drizzle-orm'

/**
 * What a copy needs to know of a table. Names are inserted into statements unescaped: they come
 * from our schema.
 */
export interface TableShape {
  name: string
  columns: ReadonlyArray<{ name: string; type: string }>
  /** Positions of the primary key among the columns. */
  primaryKey: readonly number[]
  /** The identity column, if the table has one. */
  identityColumn: string | undefined
}

interface SchemaColumn {
  name: string
  primary: boolean
  getSQLType: () => string
  autoIncrement?: boolean
  generatedIdentity?: unknown
}

/** The part of `getTableConfig`'s result, on either engine, that is used here. */
interface TableConfig {
  name: string
  columns: SchemaColumn[]
  primaryKeys: Array<{ columns: Array<{ name: string }> }>
  foreignKeys: Array<{ reference: () => { foreignTable: DrizzleTable } }>
}

/** Orders the tables of a schema so that referenced tables come first. */
export function orderTables(
  tables: readonly DrizzleTable[],
  getConfig: (table: DrizzleTable) => unknown
): TableShape[] {
  const ordered = new Map<DrizzleTable, TableShape>()
  const add = (drizzleTable: DrizzleTable): void => {
    if (ordered.has(drizzleTable)) return
    const config = getConfig(drizzleTable) as TableConfig
    const parents = config.foreignKeys
      .map((key) => key.reference().foreignTable)
      .filter((parent) => parent !== drizzleTable)
    parents.forEach(add)
    ordered.set(drizzleTable, toTableShape(config))
  }
  tables.forEach(add)
  return [...ordered.values()]
}

function toTableShape({ name, columns, primaryKeys }: TableConfig): TableShape {
  const key =
    primaryKeys[0]?.columns.map((column) =>
      columns.findIndex((each) => each.name === column.name)
    ) ?? columns.flatMap(({ primary }, index) => (primary ? [index] : []))
  return {
    name,
    columns: columns.map((column) => ({ name: column.name, type: column.getSQLType() })),
    primaryKey: key,
    identityColumn: columns.find(
      ({ autoIncrement, generatedIdentity }) =>
        autoIncrement === true || generatedIdentity !== undefined
    )?.name
  }
}
