import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPostgresServer } from '../test/postgres/server.ts'

export const ENGINES = ['sqlite', 'postgres'] as const
export type EngineName = (typeof ENGINES)[number]

/** Databases for the subjects of one run, in a folder or on a server that goes when the run ends. */
export interface BenchmarkDatabases {
  /** For log files and the like. */
  folder: string
  /** A key for all processes of the run. */
  vaultKeys: string
  /** The URL of a new, empty database. */
  create: (name: string) => Promise<string>
  remove: () => Promise<void>
}

export async function openDatabases(engine: EngineName): Promise<BenchmarkDatabases> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-'))
  process.once('exit', () => {
    rmSync(folder, { recursive: true, force: true })
  })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
  const common = { folder, vaultKeys: `bench:${randomBytes(32).toString('base64')}` }
  if (engine === 'sqlite') {
    return {
      ...common,
      create: async (name) => `sqlite:///${join(folder, name)}.db`,
      remove: async () => {}
    }
  }
  const server = await startPostgresServer()
  return {
    ...common,
    create: async (name) => await server.createDatabase(name.replaceAll(/\W/g, '_')),
    remove: async () => {
      await server.remove()
    }
  }
}
