import t, { type Test } from 'tap'
import { createSecret, displayPrefix, isIntactKey, KEY } from '../../src/access/secrets.ts'
import { isInNetworks, isNetwork } from '../../src/access/networks.ts'
import type { Scope } from '../../src/access/rules.ts'
import { hashSecret } from '../../src/lib/secret.ts'
import { buildTestApp } from '../helper.ts'
import { DAY_MS } from '../time.ts'
import { buildBearerHeader, createApiKey, PROTECTED_ENV } from './helper.ts'

async function createService(t: Test, env: NodeJS.ProcessEnv = {}) {
  let clock = Date.now()
  const { app, logText } = await buildTestApp(t, { ...PROTECTED_ENV, ...env }, () => clock)
  const status = async (secret: string, remoteAddress = '127.0.0.1') =>
    (await app.inject({ url: '/users', headers: buildBearerHeader(secret), remoteAddress }))
      .statusCode
  const create = async (secret: string, fields: object = {}) =>
    await app.store.apiKeys.create({
      name: `key-${Math.random()}`,
      hash: hashSecret(secret),
      prefix: displayPrefix(secret),
      scopes: ['users:read', 'keys:rotate'] satisfies Scope[],
      expiresAt: null,
      ...fields
    })
  const rotate = async (secret: string, payload: object = {}) =>
    await app.inject({
      method: 'POST',
      url: '/api-keys/rotate',
      headers: buildBearerHeader(secret),
      payload
    })
  return {
    app,
    logText,
    status,
    create,
    rotate,
    advance: (ms: number) => {
      clock += ms
    }
  }
}

t.test(
  'T41 A new key has a prefix and a checksum, which scanners can verify; older keys work',
  async (t) => {
    const { status, create, logText } = await createService(t)
    const secret = createSecret(KEY)
    t.match(secret, /^jcck_[A-Za-z0-9]{49}$/)
    t.ok(isIntactKey(secret))
    for (let i = 5; i < secret.length; i++) {
      const other = secret[i] === 'a' ? 'b' : 'a'
      t.notOk(isIntactKey(secret.slice(0, i) + other + secret.slice(i + 1)), `character ${i}`)
    }
    const damaged = secret.slice(0, -1) + (secret.endsWith('a') ? 'b' : 'a')
    await create(secret)
    await create(damaged)
    await create(`ck_${'x1-Y_'.repeat(9)}`)
    t.equal(await status(secret), 200)
    t.equal(await status(damaged), 401, 'not even if it is stored')
    t.equal(await status(`ck_${'x1-Y_'.repeat(9)}`), 200, 'a key of an earlier version')
    t.notOk(logText().includes(secret))
  }
)

t.test('T07 A key works only from its networks, and not beyond the longest life', async (t) => {
  const { status, create, advance } = await createService(t, { API_KEY_MAX_DAYS: '90' })
  const [everywhere, office] = [createSecret(KEY), createSecret(KEY)]
  await create(everywhere)
  await create(office, { networks: ['10.1.0.0/16', '2001:db8::/32', '192.0.2.7'] })
  for (const address of ['10.1.2.3', '::ffff:10.1.2.3', '2001:db8::9', '192.0.2.7']) {
    t.equal(await status(office, address), 200, address)
  }
  for (const address of ['10.2.0.1', '::ffff:10.2.0.1', '2001:db9::1', '192.0.2.8', '127.0.0.1']) {
    t.equal(await status(office, address), 401, address)
    t.equal(await status(everywhere, address), 200, address)
  }
  advance(90 * DAY_MS - 1)
  t.equal(await status(everywhere), 200)
  advance(1)
  t.equal(await status(everywhere), 401, 'after 90 days')
})

t.test('Recognises addresses and ranges', (t) => {
  for (const text of ['10.0.0.0/8', '0.0.0.0/0', '192.0.2.7', '::1', 'fd00::/8', '::/0']) {
    t.ok(isNetwork(text), text)
  }
  for (const text of ['', '10.0.0.0/33', '::/129', '10.0.0/8', '10.0.0.0/', '1.2.3.4/8/8', 'lan']) {
    t.notOk(isNetwork(text), text)
  }
  t.notOk(isInNetworks('', ['0.0.0.0/0']))
  t.end()
})

t.test('A key replaces itself; the old one goes on working for the overlap', async (t) => {
  const { app, status, create, rotate, advance, logText } = await createService(t)
  const old = createSecret(KEY)
  await create(old, {
    name: 'crm',
    networks: ['127.0.0.1'],
    expiresAt: new Date(Date.now() + 30 * DAY_MS)
  })
  advance(10 * DAY_MS)
  const answer = await rotate(old, { overlap_s: 60 })
  t.equal(answer.statusCode, 201, answer.body)
  t.equal(answer.headers['cache-control'], 'no-store')
  const { key, expires_at: expiresAt, ...rest } = answer.json()
  t.match(rest, { name: 'crm', scopes: ['users:read', 'keys:rotate'], networks: ['127.0.0.1'] })
  t.ok(Date.parse(expiresAt as string) > Date.now() + 39 * DAY_MS, 'for as long as the old one')
  t.same([await status(old), await status(key as string)], [200, 200])
  const second = (await rotate(old, { overlap_s: 60 })).json().key as string
  t.equal(await status(second), 200, 'a caller that did not get the answer repeats it')
  advance(60_000)
  t.same(
    [await status(old), await status(key as string), await status(second)],
    [401, 401, 200],
    'after the overlap the last one works'
  )
  t.equal((await rotate(old)).statusCode, 401)
  t.match(
    (await app.store.audit.list({ action: 'key_rotated' }, 10)).map(({ actor }) => actor),
    ['key', 'key']
  )
  t.ok(await app.store.apiKeys.revoke({ name: 'crm' }))
  t.equal(await status(second), 401)
  for (const secret of [old, key as string, second]) t.notOk(logText().includes(secret))
})

t.test('T38 Only a key that may replace itself does, and no other caller', async (t) => {
  const { app, rotate } = await createService(t)
  const { secret } = await createApiKey(app, ['users:read', 'data:write'])
  t.equal((await rotate(secret)).statusCode, 403)
  const { app: open } = await buildTestApp(t)
  t.equal((await open.inject({ method: 'POST', url: '/api-keys/rotate' })).statusCode, 403)
})

t.test('T23 The export of personal data needs a scope of its own', async (t) => {
  const { app } = await createService(t)
  await app.store.users.findOrCreate('ada@example.com', null)
  const exportWith = async (scopes: Scope[]) => {
    const { headers } = await createApiKey(app, scopes)
    return (await app.inject({ url: '/users/1/export', headers })).statusCode
  }
  t.equal(await exportWith(['users:read', 'data:read', 'connections:read', 'sync:read']), 403)
  t.equal(await exportWith(['personal-data:read']), 200)
  t.equal(await exportWith(['admin']), 200)
})
