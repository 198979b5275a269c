import { getTableName } from 'drizzle-orm'
import { defineAccessTables } from './access.ts'
import { defineConnectionTables } from './connections.ts'
import { defineItemTable, type ItemTable, type ItemTableShape } from './items.ts'
import { defineInstanceTables } from './instances.ts'
import type { ColumnKit } from './sqlite/columns.ts'
import { defineSyncTables } from './sync.ts'

/** The table of a collection, and the shape it was made from. */
export interface ItemTableDefinition {
  shape: ItemTableShape
  table: ItemTable
}

/**
 * Defines every table of the service for the engine whose column kit is passed.
 *
 * @param shapes the tables of the products' collections
 * @throws Error if two tables have the same name
 */
export function defineTables(kit: ColumnKit, shapes: readonly ItemTableShape[]) {
  const { table, unique, id, integer, text, instant } = kit

  const users = table(
    'users',
    {
      id: id(),
      email: text('email').notNull(),
      /** The address as compared: lower case, NFC. */
      emailKey: text('email_key').notNull(),
      displayName: text('display_name'),
      createdAt: instant('created_at').notNull()
    },
    (t) => [unique('users_email_key').on(t.emailKey)]
  )

  /** Single numbers about the whole database: src/store/repositories/service-state.ts. */
  const serviceState = table('service_state', {
    name: text('name').primaryKey(),
    value: integer('value').notNull()
  })

  const userId = () => users.id
  const serviceTables = {
    users,
    serviceState,
    ...defineConnectionTables(kit, userId),
    ...defineSyncTables(kit, userId),
    ...defineAccessTables(kit, userId),
    ...defineInstanceTables(kit)
  }
  const items = new Map(
    shapes.map((shape): [string, ItemTableDefinition] => [
      shape.name,
      { shape, table: defineItemTable(kit, userId, shape) }
    ])
  )
  const all = [...Object.values(serviceTables), ...[...items.values()].map(({ table }) => table)]
  const names = all.map((each) => getTableName(each))
  if (items.size < shapes.length || new Set(names).size < names.length) {
    throw new Error('Two tables have the same name: a collection needs a name of its own.')
  }
  return {
    ...serviceTables,
    /** Keyed by collection name. */
    items: items as ReadonlyMap<string, ItemTableDefinition>,
    all
  }
}

export type Tables = ReturnType<typeof defineTables>
