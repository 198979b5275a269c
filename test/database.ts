import { hash, randomUUID } from 'node:crypto'
import { query } from './postgres/server.ts'

/** The server that `npm run test:postgres` has started; where it is not set, tests use SQLite. */
const SERVER = process.env.TEST_POSTGRES
const known = new Set<string>()

export const onPostgres = SERVER !== undefined

/** Why a test of the embedded database's files or pragmas is left out where another one is tested. */
export const ofFiles = onPostgres ? 'it is about the files of the embedded database' : false

/** A database that nobody else has, and what to do at the end. */
export async function ownDatabase (): Promise<{ url: string, drop: () => Promise<void> }> {
  if (SERVER === undefined) return { url: 'sqlite::memory:', drop: async () => {} }
  const name = await create(`t_${randomUUID().replaceAll('-', '')}`)
  return { url: at(name), drop: async () => { await query(SERVER, `drop database if exists ${name} with (force)`) } }
}

/** A database that several processes or starts share: the file, or a database that has its name on the server. */
export async function databaseAt (file: string): Promise<string> {
  return SERVER === undefined ? `sqlite:///${file}` : at(await create(`f_${hash('sha1', file)}`))
}

async function create (name: string): Promise<string> {
  if (known.has(name)) return name
  known.add(name)
  await query(SERVER as string, `create database ${name}`)
  return name
}

function at (name: string): string {
  return (SERVER as string).replace(/[^/]*$/, name)
}
