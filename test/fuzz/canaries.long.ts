import { randomBytes } from 'node:crypto'
import t from 'tap'
import { linkSecret } from '../../src/access/secrets.ts'
import { hashSecret } from '../../src/lib/secret.ts'
import { buildApp } from '../../src/app.ts'
import {
  buildBearerHeader,
  createApiKey,
  PROTECTED_ENV,
  startIdentityProvider
} from '../access/helper.ts'
import { SMALL_SANDBOX } from '../auth/helper.ts'
import { readDatabaseContents, ensureDatabase } from '../database.ts'
import { Browser, OAUTH_CLIENTS, buildSandboxEnv, answerConsentPage, VAULT_KEY } from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import { runCommand } from '../process/command.ts'
import { startSandbox } from '../sandbox/helper.ts'
import { listSecretForms } from '../fixtures/forms.ts'

t.test(
  'B10 T25 No key, token, session link or cookie appears in a log, response, database or command output',
  async (t) => {
    const cwd = createTempFolder(t)
    const url = await ensureDatabase(t, `${cwd}/c.db`)
    const idp = await startIdentityProvider(t)
    const sandbox = await startSandbox(t, { clients: OAUTH_CLIENTS, ...SMALL_SANDBOX })
    const bootstrap = `ck_${randomBytes(32).toString('base64url')}`
    const jwks = randomBytes(24).toString('base64url')
    const env = {
      APP_ENV: 'test',
      ...PROTECTED_ENV,
      ...idp.env,
      JWT_JWKS_URL: `${idp.env.JWT_JWKS_URL}?key=${jwks}`,
      BOOTSTRAP_API_KEY: bootstrap,
      INTEGRATION_DB_URL: url,
      VAULT_KEYS: VAULT_KEY,
      LOG_LEVEL: 'TRACE',
      ...buildSandboxEnv(sandbox.url)
    }
    const lines: string[] = []
    const answers: Array<{ from: string; text: string }> = []
    const app = await buildApp({
      env,
      logger: {
        write: (line) => {
          lines.push(line)
        }
      }
    })
    t.teardown(() => app.close())
    app.addHook('onSend', async (request, reply, payload) => {
      answers.push({
        from: request.url.replace(/\?.*/s, ''),
        text: `${JSON.stringify(reply.getHeaders())}\n${typeof payload === 'string' ? payload : ''}`
      })
    })

    const secrets = new Map([
      ['bootstrap key', bootstrap],
      ['key of the JWKS address', jwks]
    ])
    const narrow = await createApiKey(app, ['users:read'])
    const created = await runCommand(['api-keys', 'create', '--name', 'crm', '--scopes', 'admin'], {
      cwd,
      env
    })
    secrets.set('service key', created.stdout.trim()).set('narrow key', narrow.secret)
    const revoked = await createApiKey(app, ['admin'], { name: 'old' })
    await app.store.apiKeys.revoke({ name: 'old' })
    const expired = await createApiKey(app, ['admin'], { expiresAt: new Date(Date.now() - 1) })
    secrets
      .set('revoked key', revoked.secret)
      .set('expired key', expired.secret)
      .set('key of somewhere else', `ck_${randomBytes(32).toString('base64url')}`)
    const ada = await idp.sign({ sub: 'ada', email: 'ada@example.com', email_verified: true })
    const forged = `${ada.slice(0, -20)}AAAAAAAAAAAAAAAAAAAA`
    secrets
      .set('token of a person', ada)
      .set('forged token', forged)
      .set('signature', ada.split('.')[2] ?? '')

    const admin = buildBearerHeader(bootstrap)
    idp.state.isDown = true
    t.equal(
      (await app.inject({ url: '/users', headers: buildBearerHeader(ada) })).statusCode,
      503,
      'the identity provider is down'
    )
    idp.state.isDown = false
    t.equal((await app.inject({ url: '/users', headers: admin })).statusCode, 200)
    t.equal(
      (
        await app.inject({
          url: '/users',
          headers: buildBearerHeader(secrets.get('service key') ?? '')
        })
      ).statusCode,
      200
    )
    for (const user of ['one@example.com', 'two@example.com']) {
      const made = (
        await app.inject({
          method: 'POST',
          url: '/connect-sessions',
          headers: admin,
          payload: {
            user,
            products: user.startsWith('one') ? ['jira'] : undefined,
            return_url: '/done'
          }
        })
      ).json() as { token: string; url: string; user_id: number }
      secrets
        .set(`session token ${user}`, made.token)
        .set(`session link ${user}`, linkSecret(made.token))
      const browser = new Browser(app)
      await browser.submit(made.url, { product: 'jira' })
      secrets.set(`session cookie ${user}`, browser.cookies.get('connect-session') ?? '')
      await new Browser(app).open(made.url)
      const { url: login } = (
        await app.inject({ url: '/auth/jira/login', headers: buildBearerHeader(made.token) })
      ).json()
      secrets.set(`ticket ${user}`, new URL(login as string).searchParams.get('ticket') ?? '')
      await browser.open(await answerConsentPage(await browser.continueLogin(login as string)))
      await app.inject({
        url: `/users/${made.user_id}/connections`,
        headers: buildBearerHeader(made.token)
      })
      await browser.open(`/users/${made.user_id}/connections`)
    }
    // Each secret in every place where a caller can put it by mistake.
    for (const secret of secrets.values()) {
      // A secret with a known prefix is recognized in any text; a bare signature or cookie value
      // only in its own place.
      const anywhere = /^(c[ks]_|eyJ)/.test(secret)
        ? { 'user-agent': `client ${secret}`, via: secret, 'x-forwarded-for': secret }
        : {}
      for (const request of [
        { url: '/users', headers: buildBearerHeader(secret) },
        { url: '/users/1/connections', headers: buildBearerHeader(secret) },
        {
          url: '/users',
          headers: { authorization: `Basic ${Buffer.from(`${secret}:`).toString('base64')}` }
        },
        { url: '/users', headers: { authorization: secret } },
        { url: `/connect?token=${secret}` },
        { url: `/users?token=${secret}`, headers: admin },
        { url: `/users?access_token=${secret}` },
        {
          url: '/',
          headers: { ...anywhere, cookie: `connect-session=${secret}; other=${secret}` }
        },
        {
          method: 'POST' as const,
          url: '/users',
          headers: admin,
          payload: { email: 'x@example.com', token: secret }
        },
        {
          method: 'POST' as const,
          url: '/users',
          headers: { ...admin, 'content-type': 'application/json' },
          payload: `{"token":"${secret}`
        },
        {
          url: '/users/1',
          headers: { ...admin, authorization: `Bearer ${secret}, Bearer ${secret}` }
        }
      ]) {
        await app.inject(request)
      }
    }
    await app.inject({ method: 'DELETE', url: '/users/1/connections/jira', headers: admin })
    const audit = (await app.inject({ url: '/audit?limit=1000', headers: admin })).json() as Array<{
      action: string
    }>
    t.ok(
      ['session_created', 'connection_created'].every((expectedAction) =>
        audit.some(({ action }) => action === expectedAction)
      ),
      `${audit.length} rows of audit`
    )
    app.store.users.list = () => {
      throw new Error('failed', {
        cause: {
          authorization: `Bearer ${bootstrap}`,
          headers: { cookie: `connect-session=${secrets.get('session cookie one@example.com')}` },
          token: ada
        }
      })
    }
    t.equal((await app.inject({ url: '/users', headers: admin })).statusCode, 500)
    for (const path of ['/openapi.json', '/health/oauth', '/healthz', '/docs']) {
      await app.inject({ url: path, headers: admin })
    }

    const commands = [
      await runCommand(['api-keys', 'list'], { cwd, env }),
      await runCommand(['api-keys', 'revoke', 'crm'], { cwd, env }),
      await runCommand(['api-keys', 'create', '--name', 'bootstrap', '--scopes', 'admin'], {
        cwd,
        env
      }),
      await runCommand(['audit', 'list', '--limit', '1000'], { cwd, env }),
      await runCommand(['audit', 'verify'], { cwd, env })
    ]
    t.match(commands[0]?.stdout, /crm/)
    t.match(commands[3]?.stdout, /connection_created/)
    const stored = await readDatabaseContents(url)
    for (const secret of [
      'bootstrap key',
      'service key',
      'session link one@example.com',
      'session cookie one@example.com'
    ]) {
      t.ok(
        stored.includes(hashSecret(secrets.get(secret) ?? '')),
        `the database has the hash of the ${secret}`
      )
    }
    t.ok(
      lines.length > 100 && answers.length > 50,
      `${lines.length} lines, ${answers.length} answers`
    )

    const places = [
      { from: 'log', text: lines.join('') },
      { from: 'database', text: stored },
      ...answers,
      ...commands.map(({ stdout, stderr }) => ({ from: 'command', text: stdout + stderr }))
    ]
    /**
     * Places where the contract itself returns a secret: the response that creates a session,
     * the page of its link and the cookie that this page sets, and the ticket of a login.
     */
    const meant = (name: string, from: string) =>
      (name.startsWith('session link') && from === '/connect') ||
      (name.startsWith('ticket') && ['/auth/jira/login', '/connect/continue'].includes(from)) ||
      (/^session (token|link)/.test(name) && from === '/connect-sessions') ||
      (name.startsWith('session cookie') && from === '/connect')
    for (const [name, secret] of secrets) {
      t.ok(secret.length >= 12, `${name} is long enough to be found`)
      const hits = [...listSecretForms(secret)].flatMap(([form, text]) =>
        places
          .filter(({ from, text: all }) => all.includes(text) && !meant(name, from))
          .map(
            ({ from, text: all }) =>
              `${form} in ${from}: ${all.slice(Math.max(0, all.indexOf(text) - 120), all.indexOf(text) + 20)}`
          )
      )
      t.same([...new Set(hits)], [], name)
    }
  }
)

t.test(
  'B10 T25 No output of the process contains the password of the database, whether it starts or not',
  async (t) => {
    const password = 'planted/db:pass@word#9f8e7d6c'
    for (const address of [
      `postgres://app:${encodeURIComponent(password)}@127.0.0.1:1/x`,
      `postgresql+psycopg://app:${encodeURIComponent(password)}@localhost.invalid:5432/x`,
      `postgres://app:${encodeURIComponent(password)}@127.0.0.1:1/x?sslmode=verify-full`,
      `mysql://app:${encodeURIComponent(password)}@127.0.0.1/x`,
      `postgres//app:${password}@127.0.0.1/x`
    ]) {
      const cwd = createTempFolder(t)
      for (const args of [[], ['db-migrate'], ['api-keys', 'list'], ['keys', 'status']]) {
        const { stdout, stderr } = await runCommand(args, {
          cwd,
          env: {
            APP_ENV: 'test',
            PORT: '0',
            INTEGRATION_DB_URL: address,
            VAULT_KEYS: VAULT_KEY,
            LOG_LEVEL: 'TRACE'
          }
        })
        t.ok((stdout + stderr).length > 20, `${args.join(' ')} says why it does not start`)
        for (const [form, text] of listSecretForms(password)) {
          t.notOk(
            (stdout + stderr).includes(text),
            `${args.join(' ')} at ${address.slice(0, 8)}…: ${form}`
          )
        }
      }
    }
  }
)
