import type { RawDatabase } from './raw-database.ts'

/** The exports of each engine's file in this folder. */
interface RawDatabaseModule {
  /**
   * Opens a database read-only, as a snapshot of this moment.
   *
   * @param name the setting or option that names the database, for error messages
   * @throws StartError if it does not exist or cannot be read
   */
  openSource: (url: string, name: string) => Promise<RawDatabase>
  /**
   * Opens a database for exclusive writing.
   *
   * @throws StartError if it cannot be written or another process has it open
   */
  openTarget: (url: string, name: string) => Promise<RawDatabase>
}

/** Loads the file of the engine that `url` names; only its driver is loaded. */
export async function loadRawDatabaseModule(url: string): Promise<RawDatabaseModule> {
  return isSqliteUrl(url) ? await import('./raw-sqlite.ts') : await import('./raw-postgres.ts')
}

export function isSqliteUrl(url: string): boolean {
  return url.startsWith('sqlite:')
}
