import { join } from 'node:path'
import t from 'tap'
import { KEY as SERVICE_KEY, createSecret, SESSION } from '../../src/access/secrets.ts'
import { generateKeyEntry } from '../../src/vault/keyring.ts'
import { buildBearerHeader, PROTECTED_ENV, startIdentityProvider } from '../access/helper.ts'
import { startTestService } from '../auth/helper.ts'
import { readDatabaseContents, ensureDatabase, queryDatabase } from '../database.ts'
import { Browser, VAULT_KEY, CLIENT_SECRET, waitFor } from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import { runCommand } from '../process/command.ts'
import { readAuditTrail, runAuditVerify, type AuditRow } from './helper.ts'

const BOOTSTRAP_KEY = createSecret(SERVICE_KEY)
const CANARIES = [
  'canary-ada@example.com',
  'canary-jwt@example.com',
  'Canary Name',
  BOOTSTRAP_KEY,
  CLIENT_SECRET
]

t.test(
  'B12 T18 E6 Every action leaves one row with actor, subject, origin and request id, and without secrets',
  async (t) => {
    const idp = await startIdentityProvider(t)
    const url = await ensureDatabase(t, join(createTempFolder(t), 'c.db'))
    const nextKey = generateKeyEntry('next')
    const keys = `${VAULT_KEY},${nextKey}`
    const running = await startTestService(t, {
      ...PROTECTED_ENV,
      ...idp.env,
      VAULT_KEYS: keys,
      BOOTSTRAP_API_KEY: BOOTSTRAP_KEY,
      SYNC_INTERVAL: '0',
      INTEGRATION_DB_URL: url
    })
    const { app, sandbox, lines } = running
    await app.ready()
    const admin = buildBearerHeader(BOOTSTRAP_KEY)
    let seen = 0
    /** The rows added since the last call. */
    const readNewRows = async (): Promise<AuditRow[]> => {
      const rows = (await readAuditTrail(app, { headers: admin })).slice(seen)
      seen += rows.length
      return rows
    }
    const assertRecorded = async (expected: object[], what: string) => {
      const rows = await readNewRows()
      t.same(
        rows.map(({ action }) => action),
        expected.map((row) => (row as AuditRow).action),
        what
      )
      t.match(rows, expected, what)
      for (const { request_id: id, actor } of rows) {
        if (!['operator', 'service'].includes(actor.kind)) {
          t.ok(
            lines().some((line) => line.request_id === id),
            `${what}: its log lines have the same id`
          )
        }
      }
    }
    const runCli = async (name: string, ...args: string[]) =>
      await runCommand([name, ...args], { env: { INTEGRATION_DB_URL: url, VAULT_KEYS: keys } })

    await assertRecorded(
      [
        {
          action: 'key_created',
          actor: { kind: 'service', id: null },
          ip: null,
          request_id: null,
          detail: { name: 'bootstrap', scopes: ['admin'] }
        }
      ],
      'the bootstrap key'
    )
    const creation = await runCli('api-keys', 'create', '--name', 'crm', '--scopes', 'admin')
    const secret = creation.stdout.split(/\s+/).find((word) => word.startsWith(SERVICE_KEY)) ?? ''
    t.equal(creation.code, 0)
    CANARIES.push(secret)
    await assertRecorded(
      [{ action: 'key_created', actor: { kind: 'operator' }, detail: { name: 'crm' } }],
      'a key created by command'
    )
    const crm = buildBearerHeader(secret)
    const { id: key } = (await app.store.apiKeys.list()).find(({ name }) => name === 'crm') ?? {
      id: 0
    }
    const byCrmKey = (requestId: string) => ({
      actor: { kind: 'key', id: key, name: 'crm' },
      ip: '127.0.0.1',
      request_id: requestId
    })
    const sendRequest = async (
      method: 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'GET',
      path: string,
      id: string,
      payload?: object
    ) => {
      const response = await app.inject({
        method,
        url: path,
        headers: { ...crm, 'x-request-id': id },
        ...(payload === undefined ? {} : { payload })
      })
      t.ok(
        response.statusCode < 300,
        `${method} ${path} ${response.statusCode} ${response.statusCode < 300 ? '' : response.body}`
      )
      t.equal(response.headers['x-request-id'], id)
      return response
    }

    await sendRequest('POST', '/users', 'r-user', {
      email: 'canary-ada@example.com',
      display_name: 'Canary Name'
    })
    await assertRecorded([{ action: 'user_created', user_id: 1, ...byCrmKey('r-user') }], 'a user')
    await sendRequest('POST', '/users', 'r-again', { email: 'canary-ada@example.com' })
    await assertRecorded([], 'an existing user creates no row')
    await app.inject({
      url: '/users/2',
      headers: {
        ...buildBearerHeader(
          await idp.sign({ sub: 'jwt', email: 'canary-jwt@example.com', email_verified: true })
        ),
        'x-request-id': 'r-jwt'
      }
    })
    const person = { actor: { kind: 'user' }, user_id: 2, ip: '127.0.0.1', request_id: 'r-jwt' }
    await assertRecorded(
      [
        { action: 'user_created', ...person },
        { action: 'identity_linked', ...person }
      ],
      'a user created by a token'
    )

    const session = (
      await sendRequest('POST', '/connect-sessions', 'r-session', { user: 1, products: ['jira'] })
    ).json<{ token: string; url: string }>()
    CANARIES.push(
      session.token,
      session.token.replace(SESSION, ''),
      new URL(session.url).searchParams.get('token') ?? ''
    )
    await assertRecorded(
      [
        {
          action: 'session_created',
          user_id: 1,
          detail: { products: ['jira'] },
          ...byCrmKey('r-session')
        }
      ],
      'a connect session'
    )
    const browser = new Browser(app)
    const page = await browser.open(session.url)
    await browser.send(session.url, page, { product: 'jira' }, { 'x-request-id': 'r-open' })
    await assertRecorded(
      [
        {
          action: 'session_opened',
          user_id: 1,
          actor: { kind: 'anonymous' },
          ip: '127.0.0.1',
          request_id: 'r-open'
        }
      ],
      'the link of a session'
    )
    const inSession = { actor: { kind: 'session', id: 1 } }
    const connect = async (id: string, query = '', extra = '') => {
      return await browser.open(await browser.consent('jira', { query, extra }), {
        'x-request-id': id
      })
    }
    t.match((await connect('r-connect')).headers.location, /status=success/)
    await assertRecorded(
      [
        {
          action: 'connection_created',
          user_id: 1,
          connection_id: 1,
          product: 'jira',
          ...inSession,
          ip: '127.0.0.1',
          request_id: 'r-connect'
        }
      ],
      'a consent'
    )
    t.match((await connect('r-consent')).headers.location, /status=success/)
    await assertRecorded(
      [
        {
          action: 'consent_given',
          user_id: 1,
          connection_id: 1,
          product: 'jira',
          ...inSession,
          request_id: 'r-consent'
        }
      ],
      'another consent'
    )
    await sendRequest('DELETE', '/connect-sessions/1', 'r-end')
    await assertRecorded(
      [
        {
          action: 'session_ended',
          user_id: 1,
          ...byCrmKey('r-end'),
          detail: { session: 1 }
        }
      ],
      'the end of a session'
    )
    const onConnection = (id: string) => ({
      user_id: 1,
      connection_id: 1,
      product: 'jira',
      ...byCrmKey(id)
    })

    // A running sync would refresh the tokens itself, with the service as actor.
    await waitFor(
      async () =>
        (await sendRequest('GET', '/integrations/jira/sync/runs?owner_id=1', 'r-runs'))
          .json<Array<{ state: string }>>()
          .every(({ state }) => state === 'succeeded'),
      30_000
    )
    running.advanceTime(2 * 3_600_000)
    await sendRequest('POST', '/users/1/connections/jira/check', 'r-check')
    await assertRecorded(
      [{ action: 'refreshed', ...onConnection('r-check'), detail: { connections: [1] } }],
      'a token refresh'
    )
    const site = (await app.store.connections.get(1, 'jira'))?.connection.sites[0]
    await sendRequest('PUT', '/users/1/connections/jira/site', 'r-site', {
      cloud_id: site?.cloudId
    })
    await assertRecorded([{ action: 'sites_chosen', ...onConnection('r-site') }], 'sites')
    await sandbox.admin('faults', { kind: 'delay', delay_ms: 3_000, match: { path: '/ex/jira' } })
    await sendRequest('POST', '/integrations/jira/sync?owner_id=1', 'r-sync')
    const [run] = (
      await sendRequest('GET', '/integrations/jira/sync/runs?owner_id=1', 'r-runs')
    ).json<Array<{ id: number; state: string }>>()
    await sendRequest('DELETE', `/integrations/jira/sync/runs/${run?.id ?? 0}`, 'r-cancel')
    await assertRecorded(
      [
        {
          action: 'run_cancelled',
          user_id: 1,
          product: 'jira',
          ...byCrmKey('r-cancel'),
          detail: { run: run?.id }
        }
      ],
      'a run'
    )
    await sandbox.admin('faults', undefined, 'DELETE')
    // A running sync would refresh the expired tokens first.
    await waitFor(
      async () =>
        (await queryDatabase(url, 'select id from runs where active_key is not null')).length === 0,
      20_000
    )

    running.advanceTime(2 * 3_600_000)
    await sandbox.admin('faults', {
      kind: 'status',
      status: 403,
      body: { error: 'invalid_grant' },
      match: { path: '/oauth/token' }
    })
    await app.inject({
      method: 'POST',
      url: '/users/1/connections/jira/check',
      headers: { ...crm, 'x-request-id': 'r-lost' }
    })
    await sandbox.admin('faults', undefined, 'DELETE')
    await assertRecorded(
      [{ action: 'state_changed', ...onConnection('r-lost'), detail: { from: 'active' } }],
      'a state change'
    )
    t.match(await runCli('keys', 'promote', 'next'), { code: 0 })
    t.match(await runCli('keys', 'rotate'), { code: 0 })
    await assertRecorded(
      [
        {
          action: 'vault_key_promoted',
          actor: { kind: 'operator' },
          detail: { key: 'next', previous: 'test' }
        },
        {
          action: 'vault_key_rotated',
          actor: { kind: 'operator' },
          detail: { key: 'next', grants: 1 }
        }
      ],
      'the vault key'
    )
    await sendRequest('DELETE', '/users/1/connections/jira', 'r-leave')
    await assertRecorded(
      [{ action: 'disconnected', ...onConnection('r-leave') }],
      'a disconnection'
    )
    await sendRequest('DELETE', '/users/1', 'r-remove')
    await assertRecorded(
      [{ action: 'user_removed', user_id: 1, ...byCrmKey('r-remove') }],
      'a removed user'
    )
    t.match(await runCli('api-keys', 'revoke', 'crm'), { code: 0 })
    await assertRecorded(
      [{ action: 'key_revoked', actor: { kind: 'operator' }, detail: { key, name: 'crm' } }],
      'a revoked key'
    )

    t.match(await runAuditVerify(url, keys), { code: 0 })
    const list = await runCli('audit', 'list', '--limit', '1000')
    t.equal(list.stdout.trim().split('\n').length, seen)
    const tokens =
      (await readDatabaseContents(url)).length > 0
        ? sandbox.state.stats.snapshot().log.flatMap(({ token }) => token ?? [])
        : []
    const auditTexts =
      JSON.stringify(await queryDatabase(url, 'select * from audit')) +
      JSON.stringify(await readAuditTrail(app, { headers: admin })) +
      list.stdout +
      list.stderr
    for (const canary of [...CANARIES, ...tokens, VAULT_KEY, nextKey]) {
      t.notOk(canary !== '' && auditTexts.includes(canary), 'no canary')
    }
  }
)
