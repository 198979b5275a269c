import { sql, type SQL } from 'drizzle-orm'

/** Whether a column contains a text, without regard to the case of ASCII letters. */
export function containsText(column: object, text: string): SQL {
  return sql`lower(${column}) like ${`%${text.toLowerCase().replace(/[\\%_]/g, '\\$&')}%`} escape '\\'`
}
