import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { createApiKey } from '../access/helper.ts'
import { SMALL_SANDBOX, pickByScale } from '../auth/helper.ts'
import { ensureDatabase, isPostgres, queryDatabase } from '../database.ts'
import { Browser, buildTestApp, VAULT_KEY, CLIENT_SECRET, PRODUCTS } from '../helper.ts'
import { resolveNextPage } from '../network.ts'
import { createTempFolder, startServiceProcess } from '../process/child.ts'
import { listSecretForms } from '../fixtures/forms.ts'
import { startServiceWithPeople } from './helper.ts'

/** All entries of a list, through its page links. */
async function readAllPages(
  ask: (url: string) => Promise<{ json: () => unknown; headers: Record<string, unknown> }>,
  url: string
): Promise<unknown[]> {
  const answer = await ask(url)
  const next = resolveNextPage(url, answer.headers.link)
  return [
    ...(answer.json() as unknown[]),
    ...(next === undefined ? [] : await readAllPages(ask, next))
  ]
}

t.test(
  'An export contains what the lists of that user return, and nothing of other users',
  async (t) => {
    const { app, person, asAdmin } = await startServiceWithPeople(t, {
      sandbox: { ...SMALL_SANDBOX, sizes: { projects: 3, issues: 700, spaces: 2, pages: 250 } }
    })
    const ada = await person('ada', 'dana', { state: 'for=ada@example.com' })
    const eve = await person('eve', 'sam')
    await app.inject({
      method: 'PATCH',
      url: `/users/${ada.id}/connections/confluence`,
      headers: ada.headers,
      payload: { page_bodies: true }
    })
    while ((await ada.get('/integrations/confluence/sync/runs'))[0].state !== 'succeeded') {
      await sleep(20)
    }
    const answer = await app.inject({ url: `/users/${ada.id}/export`, headers: ada.headers })
    t.equal(answer.statusCode, 200)
    t.match(answer.headers, {
      'content-type': /^application\/json/,
      'content-disposition': `attachment; filename="user-${ada.id}.json"`,
      'cache-control': 'no-store'
    })
    const document = answer.json()
    const own = async (url: string) => await app.inject({ url, headers: ada.headers })

    const { created_at: since, ...user } = document.user
    t.strictSame(user, await ada.get(`/users/${ada.id}`))
    t.ok(Date.parse(since as string) <= Date.now())
    t.match(document.identities, [{ issuer: /./, subject: 'ada' }])
    const connections = document.connections.map(
      ({ id: _id, history: _history, ...rest }: Record<string, unknown>) => rest
    )
    t.strictSame(connections, (await ada.get(`/users/${ada.id}/connections`)).connections)
    for (const [i, product] of PRODUCTS.entries()) {
      t.strictSame(
        document.connections[i].history,
        await readAllPages(own, `/users/${ada.id}/connections/${product}/history`)
      )
    }
    t.strictSame(
      document.runs,
      (
        await Promise.all(
          PRODUCTS.map(
            async (product) =>
              await readAllPages(own, `/integrations/${product}/sync/runs?owner_id=${ada.id}`)
          )
        )
      ).flat()
    )
    t.match(document.connect_sessions, [
      { products: [...PRODUCTS], return_url: /back-of-ada$/, opened: false }
    ])
    t.match(document.logins, [
      { product: 'jira', state: 'for=ada@example.com', ended: true },
      { product: 'confluence', state: 'for=ada@example.com', ended: true }
    ])

    const trail = (await readAllPages(asAdmin, `/audit?user_id=${ada.id}`)) as Array<{
      actor: { kind: string }
      ip: unknown
    }>
    t.match(
      document.audit[0],
      { action: 'data_exported', actor: { kind: 'user', id: ada.id }, ip: '127.0.0.1' },
      'the export itself is in the audit trail'
    )
    t.strictSame(
      document.audit,
      trail.map((row) =>
        row.actor.kind === 'key' ? { ...row, ip: null, actor: { ...row.actor, name: null } } : row
      )
    )

    const bare = ({ remote_id: _remote, ...item }: Record<string, unknown>) => item
    const byId = (items: unknown[]) => (items as Array<{ id: number }>).sort((a, b) => a.id - b.id)
    for (const [name, path, count] of [
      ['projects', 'jira/projects', 4],
      ['issues', 'jira/issues', 700],
      ['spaces', 'confluence/spaces', 2],
      ['pages', 'confluence/pages?include=body', 251]
    ] as const) {
      t.equal(document[name].length, count, name)
      t.strictSame(
        byId(document[name].map(bare)),
        byId(await readAllPages(own, `/${path.replace(/(\?|$)/, `/${ada.id}$1`)}`)),
        name
      )
    }
    t.ok(
      document.pages.some(
        ({ body }: { body: { text: string } | null }) => (body?.text.length ?? 0) > 0
      ),
      'with their bodies'
    )
    t.match(
      document.projects.find(({ key }: { key: string }) => key === 'HAND'),
      { site: null, remote_id: 'HAND', name: 'Project of ada' }
    )
    for (const word of ['eve@', 'Name of eve', 'Page of eve', 'back-of-eve', 'crm']) {
      t.notOk(answer.body.includes(word), `nothing of another user: ${word}`)
    }

    t.equal(
      (await app.inject({ url: `/api/users/${ada.id}/export`, headers: ada.headers })).json().user
        .id,
      ada.id
    )
    for (const url of [`/users/${ada.id}/export`, '/users/999/export']) {
      t.match(
        (await app.inject({ url, headers: eve.headers })).json(),
        { status: 404, code: 'user_not_found' },
        url
      )
    }
    t.equal((await asAdmin('/users/999/export')).statusCode, 404)
    t.equal(
      (
        await app.inject({
          url: `/users/${ada.id}/export`,
          headers: (await createApiKey(app, ['data:read'])).headers
        })
      ).statusCode,
      403
    )
    t.equal(
      (await app.inject({ method: 'HEAD', url: `/users/${ada.id}/export`, headers: ada.headers }))
        .statusCode,
      200
    )
    t.equal(
      (await readAllPages(asAdmin, '/audit?action=data_exported')).length,
      2,
      'HEAD does not count as an export'
    )
  }
)

t.test(
  'B10 T25 An export contains no token, ciphertext, hash or key of the service, in any form',
  async (t) => {
    const url = await ensureDatabase(t, join(createTempFolder(t), 'canary.db'))
    const {
      app,
      sandbox: {
        state: { signer }
      },
      person,
      asAdmin,
      admin
    } = await startServiceWithPeople(t, {
      env: { INTEGRATION_DB_URL: url },
      sandbox: SMALL_SANDBOX
    })
    const secrets = new Set([CLIENT_SECRET, VAULT_KEY.replace(/^.*?:/, ''), admin.secret])
    const sign = signer.sign.bind(signer)
    signer.sign = (claims) => {
      const token = sign(claims)
      secrets.add(token)
      return token
    }
    const ada = await person('ada', 'dana')
    await new Browser(app).open(ada.session.url)
    secrets
      .add(ada.session.token)
      .add(new URL(ada.session.url).searchParams.get('token') ?? '')
      .add(ada.headers.authorization.replace('Bearer ', ''))
    const storedFields = [
      ...(await queryDatabase(
        url,
        'select access_token, refresh_token, previous_refresh_token, key_id from grants'
      )),
      ...(await queryDatabase(
        url,
        'select state_hash, code_hash, browser_hash, opener from flows'
      )),
      ...(await queryDatabase(url, 'select hash, browser_hash from sessions')),
      ...(await queryDatabase(url, 'select hash from api_keys')),
      ...(await queryDatabase(url, 'select hash from audit'))
    ]
      .flatMap((row) => Object.values(row))
      .filter((value) => typeof value === 'string' && value.length > 12) as string[]
    for (const each of storedFields) secrets.add(each)
    t.ok(secrets.size > 20, `${secrets.size} secrets`)
    const { body } = await asAdmin(`/users/${ada.id}/export`)
    for (const secret of secrets) {
      for (const [form, text] of listSecretForms(secret)) {
        if (body.includes(text)) {
          t.fail(
            `${form} of ${secret.slice(0, 8)}… near ` +
              `${body.slice(Math.max(0, body.indexOf(text) - 60), body.indexOf(text))}`
          )
        }
      }
    }
    t.ok(body.includes('ada@example.com'))
  }
)

/** A heap smaller than the document. */
const SMALL_HEAP = '--max-semi-space-size=8 --max-old-space-size=100'

/** A user with many pages, written directly into the database. */
async function createLargeUser(t: Test, pages: number, bytes: number): Promise<string> {
  const url = await ensureDatabase(t, join(createTempFolder(t), 'large.db'))
  const { app } = await buildTestApp(t, { INTEGRATION_DB_URL: url })
  await app.inject({ method: 'POST', url: '/users', payload: { email: 'ada@example.com' } })
  await app.close()
  const [body] = isPostgres
    ? [`repeat('x', ${bytes})`]
    : [`replace(hex(zeroblob(${bytes / 2})), '0', 'x')`]
  await queryDatabase(
    url,
    `with recursive n(i) as (select 1 union all select i + 1 from n where i < ${pages})
    insert into pages (owner_id, site, remote_id, revision, updated_at, seq, pass,
      space_key, page_id, title, body, body_text)
    select 1, 'site', cast(i as text), 1, 0, i, 1, 'KEY', cast(i as text), 'Page', ${body}, 'text' from n`
  )
  return url
}

t.test(
  'Streams an export of 10,000 pages with bounded memory, however slowly the client reads',
  { timeout: 120_000 },
  async (t) => {
    const [PAGES, BYTES] = [10_000, pickByScale(12_000, 45_000)]
    const { pid, url } = await startServiceProcess(t, {
      env: {
        INTEGRATION_DB_URL: await createLargeUser(t, PAGES, BYTES),
        VAULT_KEYS: VAULT_KEY,
        NODE_OPTIONS: SMALL_HEAP
      }
    })
    const memory = (what: string) =>
      Number(
        new RegExp(`${what}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
      ) / 1024
    await (await fetch(`${url}/users/1/connections`)).text()
    const before = memory('VmRSS')
    const { body } = await fetch(`${url}/users/1/export`)
    const chunks: Uint8Array[] = []
    let bytes = 0
    for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
      if (bytes === 0) await sleep(1_000)
      bytes += chunk.length
      chunks.push(chunk)
    }
    const grown = memory('VmHWM') - before
    t.comment(
      `${(bytes / 2 ** 20).toFixed()} MiB were sent; the process grew from ` +
        `${before.toFixed()} MiB by ${grown.toFixed()} MiB at most`
    )
    t.ok(bytes > PAGES * BYTES)
    t.ok(grown < 200, `it grew by ${grown.toFixed()} MiB`)
    t.equal(
      (JSON.parse(Buffer.concat(chunks).toString()) as { pages: unknown[] }).pages.length,
      PAGES
    )
  }
)

t.test(
  'Aborts the response when the database fails, so that a partial export is not taken for a complete one',
  async (t) => {
    const url = await createLargeUser(t, 3_000, 10_000)
    const { app, lines } = await buildTestApp(t, { INTEGRATION_DB_URL: url })
    const address = await app.listen({ port: 0, host: '127.0.0.1' })
    const read = async (between: () => Promise<unknown>) => {
      const { status, body } = await fetch(`${address}/users/1/export`)
      t.equal(status, 200)
      let bytes = 0
      for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
        if (bytes === 0) await between()
        bytes += chunk.length
      }
      return bytes
    }
    await t.rejects(
      read(async () => await queryDatabase(url, 'alter table pages rename to pages_away'))
    )
    t.match(
      lines().filter(({ event }) => event === 'export_aborted'),
      [{ level: 'error' }],
      'the log reports it'
    )
    t.match(
      await (
        await fetch(`${address}/users/1/export`)
      )
        .text()
        .catch((error: Error) => error.message),
      /terminated|cause/
    )
    await queryDatabase(url, 'alter table pages_away rename to pages')
    t.ok((await read(async () => {})) > 3_000 * 10_000, 'the next export is complete')
  }
)

t.test('Aborts an export of a slow client at the end of the grace period', async (t) => {
  const { app } = await buildTestApp(t, {
    SHUTDOWN_GRACE: '1',
    INTEGRATION_DB_URL: await createLargeUser(t, 3_000, 10_000)
  })
  const { body } = await fetch(`${await app.listen({ port: 0, host: '127.0.0.1' })}/users/1/export`)
  let closed: Promise<unknown> | undefined
  await t.rejects(async () => {
    for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
      closed ??= chunk.length > 0 ? app.close() : undefined
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  })
  await closed
})
