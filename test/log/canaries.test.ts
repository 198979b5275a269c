import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { Agent, type Dispatcher } from 'undici'
import type { FastifyInstance } from 'fastify'
import { buildApp } from '../../src/app.ts'
import { generateKeyEntry } from '../../src/vault/keyring.ts'
import { readDatabaseContents, ensureDatabase, isPostgres } from '../database.ts'
import { Browser, OAUTH_CLIENTS, buildSandboxEnv, VAULT_KEY, CLIENT_SECRET } from '../helper.ts'
import { runCommand } from '../process/command.ts'
import { ACME, startSandbox } from '../sandbox/helper.ts'
import { listSecretForms } from '../fixtures/forms.ts'

const TWO_HOURS_MS = 2 * 3_600_000

/** Network agent that records every received token and every sent code and secret. */
class RecordingAgent extends Agent {
  readonly capturedSecrets = new Map<string, string>()

  override dispatch(
    options: Dispatcher.DispatchOptions,
    handler: Dispatcher.DispatchHandler
  ): boolean {
    const chunks: Buffer[] = []
    const wiretap = this
    const listening = new Proxy(handler, {
      get(target, name) {
        const value = Reflect.get(target, name) as unknown
        if (typeof value !== 'function') return value
        return (...args: unknown[]) => {
          if (name === 'onResponseData') chunks.push(args[1] as Buffer)
          if (name === 'onResponseEnd') wiretap.recordTokens(Buffer.concat(chunks).toString())
          return (value as (...args: unknown[]) => unknown).apply(target, args)
        }
      }
    })
    return super.dispatch(options, listening)
  }

  private recordTokens(text: string): void {
    for (const [, name = '', value = ''] of text.matchAll(
      /"(access_token|refresh_token|id_token)":"([^"]+)"/g
    )) {
      this.capturedSecrets.set(`${name} ${this.capturedSecrets.size}`, value)
    }
  }
}

/** Waits until no run is active. */
async function waitForRuns(app: FastifyInstance): Promise<void> {
  for (let id = 1, attemptsLeft = 500; attemptsLeft > 0; attemptsLeft--) {
    const states = await Promise.all(
      ['jira', 'confluence'].map(
        async (product) =>
          (await app.inject(`/integrations/${product}/sync/runs/${id}`)).json().state as
            string | undefined
      )
    )
    if (states.every((state) => state === undefined)) return
    if (states.some((state) => state === 'succeeded' || state === 'failed')) id++
    else await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

t.test(
  'B1 B10 T20 T21 No log, response, document, database or keys output contains a secret in any of 17 forms',
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'connector-'))
    t.teardown(() => rmSync(folder, { recursive: true, force: true }))
    const sandbox = await startSandbox(t, { clients: OAUTH_CLIENTS })
    const network = new RecordingAgent()
    t.teardown(() => network.close())
    const lines: string[] = []
    /** Responses, labelled by what the contract allows in them. */
    const answers: Array<{ from: string; text: string }> = []
    const next = generateKeyEntry('next')
    const secrets = new Map([
      ['client secret', CLIENT_SECRET],
      ['vault key', VAULT_KEY.split(':')[1] ?? ''],
      ['vault key of later', next.split(':')[1] ?? ''],
      ['Authorization header', 'planted-bearer-5d41402abc4b2a76'],
      ['unrelated cookie', 'planted-cookie-7d793037a0760186'],
      ['token sent by a caller', 'planted-jira-token-98f13708210194c4']
    ])
    const url = await ensureDatabase(t, join(folder, 'c.db'))
    let [env, ahead] = [
      {
        APP_ENV: 'test',
        INTEGRATION_DB_URL: url,
        VAULT_KEYS: VAULT_KEY,
        LOG_LEVEL: 'TRACE',
        ...buildSandboxEnv(sandbox.url)
      },
      0
    ]

    const start = async (): Promise<FastifyInstance> => {
      const app = await buildApp({
        env,
        network,
        now: () => Date.now() + ahead,
        logger: {
          write: (line) => {
            lines.push(line)
          }
        }
      })
      app.addHook('onSend', async (request, reply, payload) => {
        answers.push({
          from: request.url.replace(/\?.*/s, ''),
          text: `${JSON.stringify(reply.getHeaders())}\n${typeof payload === 'string' ? payload : ''}`
        })
      })
      return app
    }

    // A key is 32 bytes in every notation.
    for (const entry of [VAULT_KEY, next]) {
      for (const form of ['hex', 'base64url'] as const) {
        secrets.set(
          `vault key ${entry.split(':')[0]} in ${form}`,
          Buffer.from(entry.split(':')[1] ?? '', 'base64').toString(form)
        )
      }
    }

    /** Records the secrets that a login created. */
    const plant = (callback: string, browser: Browser, product: string): URLSearchParams => {
      const query = new URL(callback).searchParams
      for (const name of ['code', 'state']) {
        secrets.set(`${name} of ${product} ${secrets.size}`, query.get(name) ?? '')
      }
      for (const [name, value] of browser.cookies) secrets.set(`cookie ${name}`, value)
      return query
    }

    const tour = async (app: FastifyInstance) => {
      const headers = {
        authorization: `Bearer ${secrets.get('Authorization header')}`,
        cookie: `sid=${secrets.get('unrelated cookie')}`
      }
      for (const product of ['jira', 'confluence']) {
        const browser = new Browser(app)
        const callback = await browser.consent(product, { query: '&state=user_id%3D1' })
        const query = plant(callback, browser, product)
        await browser.open(callback)
        await browser.open(callback)
        await app.inject({
          url: callback.replace(/code=[^&]*/, 'code=another-planted-code-0123456789'),
          headers
        })
        secrets.set('a forged code', 'another-planted-code-0123456789')
        await app.inject({
          url:
            `/api/auth/${product}/callback?code=forged-planted-code-aaaa9999` +
            '&state=forged-planted-state-bbbb8888',
          headers
        })
        secrets
          .set('a code nobody issued', 'forged-planted-code-aaaa9999')
          .set('a state nobody issued', 'forged-planted-state-bbbb8888')
        await app.inject({
          url: `/auth/${product}/callback?error=access_denied&state=${query.get('state')}`,
          headers
        })
        const { items } = (await app.inject({ url: '/users', headers })).json() as {
          items?: unknown
        }
        t.equal(items, undefined)
        await app.inject({ method: 'POST', url: `/integrations/${product}/sync`, headers })
        for (const url of [
          `/integrations/${product}/sync/runs/1`,
          '/healthz',
          '/health/oauth',
          '/openapi.json',
          '/users/1',
          '/users/x',
          '/nothing',
          '/%zz'
        ]) {
          await app.inject({ url, headers })
        }
        await app.inject({
          method: 'POST',
          url: '/users',
          headers,
          payload: { email: 'a@b.co', jira_token: secrets.get('token sent by a caller') }
        })
        for (const url of [
          '/users/1/connections',
          `/users/1/connections/${product}/history`,
          `/users/2/connections/${product}/history`
        ]) {
          await app.inject({ url, headers })
        }
        t.equal(
          (
            await app.inject({
              method: 'POST',
              url: `/users/1/connections/${product}/check`,
              headers
            })
          ).statusCode,
          200
        )
        t.equal(
          (
            await app.inject({
              method: 'PUT',
              url: `/users/1/connections/${product}/site`,
              headers,
              payload: { cloud_id: ACME }
            })
          ).statusCode,
          200
        )
        t.equal(
          (
            await app.inject({
              method: 'PUT',
              url: `/users/1/connections/${product}/site`,
              headers,
              payload: { cloud_id: secrets.get('token sent by a caller')?.padEnd(36, '-') }
            })
          ).statusCode,
          422
        )
        await app.inject({
          url:
            `/nothing?token=${secrets.get('token sent by a caller')}` +
            `&access_token=${secrets.get('token sent by a caller')}`,
          headers
        })
      }
    }

    /** Another account, a refused refresh, disconnection and deletion. */
    const farewell = async (app: FastifyInstance) => {
      for (const [query, ending] of [
        ['', 'error=account_changed'],
        ['&change_account=true', 'status=success']
      ] as const) {
        const browser = new Browser(app)
        const callback = await browser.consent('jira', {
          query: `&state=user_id%3D1${query}`,
          extra: '&sandbox_account=sam'
        })
        plant(callback, browser, 'jira')
        t.match((await browser.open(callback)).headers.location, ending)
      }
      await waitForRuns(app)
      await sandbox.admin('revoke', {})
      ahead += TWO_HOURS_MS
      for (const product of ['jira', 'confluence']) {
        t.match(
          (
            await app.inject({ method: 'POST', url: `/users/1/connections/${product}/check` })
          ).json(),
          { code: 'needs_reconnect' }
        )
      }
      t.match((await app.inject('/users/1/connections')).json(), {
        connections: [{ state: 'needs_reconnect' }, { state: 'needs_reconnect' }]
      })
      t.equal(
        (await app.inject({ method: 'DELETE', url: '/users/1/connections/jira' })).statusCode,
        200
      )
      t.equal((await app.inject({ method: 'DELETE', url: '/users/1' })).statusCode, 200)
      await app.inject('/users/1/connections')
    }

    const first = await start()
    await first.inject({ method: 'POST', url: '/users', payload: { email: 'ada@example.com' } })
    await tour(first)
    await waitForRuns(first)
    first.store.users.list = () => {
      throw new Error(`failed with code=forged-planted-code-aaaa9999 and ${CLIENT_SECRET}`, {
        cause: { authorization: secrets.get('Authorization header') }
      })
    }
    await first.inject({ url: '/users' })
    const searchDatabase = async () => [
      ...readdirSync(folder).map((name) => ({
        from: `file ${name}`,
        text: readFileSync(join(folder, name)).toString('latin1')
      })),
      ...(isPostgres ? [{ from: 'file of rows', text: await readDatabaseContents(url) }] : [])
    ]
    const whileOpen = await searchDatabase()
    t.ok(
      isPostgres ||
        ['-wal', '-shm'].every((end) => whileOpen.some(({ from }) => from.endsWith(end))),
      'the search includes the WAL'
    )
    await first.close()
    // Replaces the keys and advances two hours: the tokens expire and are refreshed.
    env = { ...env, VAULT_KEYS: `${next},${VAULT_KEY}` }
    const keys = async (command: string) =>
      await runCommand(['keys', command], { cwd: folder, env })
    const commands = [await keys('status'), await keys('rotate')]
    t.match(
      commands.map(({ stdout }) => stdout),
      [/next encrypts nothing yet/, /2 grants re-encrypted with next/]
    )
    ahead = TWO_HOURS_MS
    const second = await start()
    await second.inject({ method: 'POST', url: '/integrations/jira/sync' })
    await waitForRuns(second)
    t.ok(
      lines.some((line) => line.includes('grant_refreshed')),
      'the tour includes a refresh'
    )
    await tour(second)
    await waitForRuns(second)
    await farewell(second)
    await second.close()
    for (const [name, value] of network.capturedSecrets) secrets.set(name, value)

    const kinds = [...secrets.keys()].map((name) => name.split(' ')[0])
    for (const kind of [
      'access_token',
      'refresh_token',
      'code',
      'state',
      'cookie',
      'client',
      'vault'
    ]) {
      t.ok(kinds.includes(kind), `the secrets include a ${kind}`)
    }
    t.ok(
      lines.length > 100 && answers.length > 50,
      `${lines.length} lines, ${answers.length} answers`
    )

    /** Places where the contract itself puts a secret. No other place may have one. */
    const meant = (name: string, from: string) =>
      // The response that starts the login has the state in its authorize URL and the binding secret
      // in its cookie, which the callback renews for the page after it.
      (/^(state of|cookie __|cookie flow-)/.test(name) &&
        /^(\/auth\/(jira|confluence)\/login|\/connect\/continue)$/.test(from)) ||
      // The page that continues a login binds its form to the browser by a cookie.
      (name.includes('connect-page') && from === '/connect/continue') ||
      (/^cookie (__|flow-)/.test(name) &&
        /^(\/api)?\/auth\/(jira|confluence)\/callback$/.test(from)) ||
      // Development returns a caller's own state. A state that the service did not issue belongs
      // to the caller and is stored in the flow until the callback.
      (name === 'a state nobody issued' &&
        (/^(\/api)?\/auth\/(jira|confluence)\/callback$/.test(from) || from.startsWith('file ')))

    const printed = commands.map(({ stdout, stderr }) => ({
      from: 'keys command',
      text: stdout + stderr
    }))
    const places = [
      { from: 'log', text: lines.join('') },
      ...printed,
      ...answers,
      ...whileOpen,
      ...(await searchDatabase())
    ]
    for (const [name, secret] of secrets) {
      t.ok(secret.length >= 12, `${name} is long enough to be found`)
      for (const [form, text] of listSecretForms(secret)) {
        const hits = places
          .filter(({ from, text: all }) => all.includes(text) && !meant(name, from))
          .map(({ from }) => from)
        t.same([...new Set(hits)], [], `${name}, ${form}`)
      }
    }
  }
)
