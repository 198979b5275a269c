import type { Table as DrizzleTable } from 'drizzle-orm'

/** A table as the schema declares it, as far as a copy has to know it. Names go into statements as they are: they are ours. */
export interface TableShape {
  name: string
  columns: ReadonlyArray<{ name: string; type: string }>
  /** The places of the primary key among the columns. */
  primaryKey: readonly number[]
  /** The column whose numbers the database hands out, where there is one. */
  identityColumn: string | undefined
}

interface SchemaColumn {
  name: string
  primary: boolean
  getSQLType: () => string
  autoIncrement?: boolean
  generatedIdentity?: unknown
}

/** What `getTableConfig` of either engine tells of a table. */
interface TableConfig {
  name: string
  columns: SchemaColumn[]
  primaryKeys: Array<{ columns: Array<{ name: string }> }>
  foreignKeys: Array<{ reference: () => { foreignTable: DrizzleTable } }>
}

/** Every table of a schema, so that what a row refers to comes before the row. */
export function orderTables(
  schema: Record<string, unknown>,
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
  Object.values(schema as Record<string, DrizzleTable>).forEach(add)
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
