import Driver from 'better-sqlite3'
import type { FastifyInstance } from 'fastify'

const BATCH_SIZE = 250

/**
 * Measures a lower bound for a copy: parse the bytes of every upstream page, and write the copied
 * rows with one prepared upsert, a transaction per page, into a table with the same columns,
 * indexes and pragmas.
 *
 * @returns milliseconds
 */
export async function measureRawBaseline(
  app: FastifyInstance,
  url: string,
  file: string
): Promise<number> {
  const grant = (await app.store.connections.get(1, 'confluence'))?.grant
  const token = await app.tokenProvider.getAccessToken(grant?.id ?? '', { log: app.log })
  const site =
    (await app.store.connections.get(1, 'confluence'))?.connection.selectedSites[0]?.cloudId ?? ''
  const bodies: string[] = []
  let path: string | null = `/wiki/api/v2/pages?limit=${BATCH_SIZE}&sort=id`
  while (path !== null) {
    const text: string = await (
      await fetch(`${url}/ex/confluence/${site}${path}`, {
        headers: { authorization: `Bearer ${token}` }
      })
    ).text()
    bodies.push(text)
    path = (JSON.parse(text) as { _links: { next?: string } })._links.next ?? null
  }
  const source = new Driver(String(app.config.databaseUrl).replace('sqlite:///', ''), {
    readonly: true
  })
  const schema = source
    .prepare("select sql from sqlite_master where tbl_name = 'pages' and sql is not null")
    .pluck()
    .all() as string[]
  const rows = source.prepare('select * from pages order by id').raw().all() as unknown[][]
  const columns = source
    .prepare('select * from pages limit 1')
    .columns()
    .map(({ name }) => name)
  source.close()

  const db = new Driver(file)
  for (const pragma of ['journal_mode = WAL', 'synchronous = FULL', 'secure_delete = ON']) {
    db.pragma(pragma)
  }
  db.exec('create table users (id integer primary key); insert into users values (1)')
  for (const sql of schema) db.exec(sql)
  const upsert =
    db.prepare(`insert into pages (${columns.join()}) values (${columns.map(() => '?').join()})
    on conflict (owner_id, site, remote_id) do update set ${columns
      .filter((name) => name !== 'id')
      .map((name) => `${name} = excluded.${name}`)
      .join()}`)
  const from = performance.now()
  for (const [i, body] of bodies.entries()) {
    JSON.parse(body)
    db.transaction(() => {
      for (const row of rows.slice(i * BATCH_SIZE, (i + 1) * BATCH_SIZE)) upsert.run(row)
    })()
  }
  const ms = performance.now() - from
  db.close()
  return ms
}
