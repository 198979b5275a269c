import type { Table as Declared } from 'drizzle-orm'

/** A table as the schema declares it, as far as a copy has to know it. Names go into statements as they are: they are ours. */
export interface Table {
  name: string
  columns: ReadonlyArray<{ name: string; type: string }>
  /** The places of the primary key among the columns. */
  key: readonly number[]
  /** The column whose numbers the database hands out, where there is one. */
  counter: string | undefined
}

interface DeclaredColumn {
  name: string
  primary: boolean
  getSQLType: () => string
  autoIncrement?: boolean
  generatedIdentity?: unknown
}

/** What `getTableConfig` of either engine tells of a table. */
interface Config {
  name: string
  columns: DeclaredColumn[]
  primaryKeys: Array<{ columns: Array<{ name: string }> }>
  foreignKeys: Array<{ reference: () => { foreignTable: Declared } }>
}

/** Every table of a schema, so that what a row refers to comes before the row. */
export function tablesOf(
  schema: Record<string, unknown>,
  configOf: (table: Declared) => unknown
): Table[] {
  const sorted = new Map<Declared, Table>()
  const add = (declared: Declared): void => {
    if (sorted.has(declared)) return
    const config = configOf(declared) as Config
    const parents = config.foreignKeys
      .map((key) => key.reference().foreignTable)
      .filter((parent) => parent !== declared)
    parents.forEach(add)
    sorted.set(declared, shapeOf(config))
  }
  Object.values(schema as Record<string, Declared>).forEach(add)
  return [...sorted.values()]
}

function shapeOf({ name, columns, primaryKeys }: Config): Table {
  const key =
    primaryKeys[0]?.columns.map((column) =>
      columns.findIndex((each) => each.name === column.name)
    ) ?? columns.flatMap(({ primary }, at) => (primary ? [at] : []))
  return {
    name,
    columns: columns.map((column) => ({ name: column.name, type: column.getSQLType() })),
    key,
    counter: columns.find(
      ({ autoIncrement, generatedIdentity }) =>
        autoIncrement === true || generatedIdentity !== undefined
    )?.name
  }
}
