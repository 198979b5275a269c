import { join } from 'node:path'
import t from 'tap'
import { DANA } from '../../src/sandbox/oauth/users.ts'
import { pickByScale, startTestService, type TestService } from '../auth/helper.ts'
import { ensureDatabase, isPostgres, queryDatabase } from '../database.ts'
import { Browser, buildTestApp, buildSandboxEnv } from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import { createRandom, chooseSeed } from '../fixtures/prng.ts'
import { HOUR_MS } from '../time.ts'
import type { TestContext } from '../types.ts'

/**
 * After this time the token cache has expired, so damage is detected, and the tokens are still
 * valid.
 */
const CACHE_EXPIRED_MS = 10_000
const PEOPLE_COUNT = 5
const TOKEN_COLUMNS = ['access_token', 'refresh_token', 'previous_refresh_token'] as const
type TokenColumn = (typeof TOKEN_COLUMNS)[number]
type TokenRow = Record<TokenColumn, string> & { id: string; key_id: string }
/** A sandbox token in clear text. */
const PLAINTEXT_TOKEN = /eyJ[\w-]{8,}\.eyJ/

interface TamperFixture extends TestService {
  /** The token columns of stored rows, by user id. */
  readRows: () => Promise<Map<number, TokenRow>>
  updateRow: (row: Pick<TokenRow, 'id'> & Partial<TokenRow>) => Promise<void>
  /** The response of POST check for a user; every response is recorded. */
  checkConnection: (userId: number) => Promise<Record<string, any>>
  history: (userId: number) => Promise<Array<Record<string, any>>>
  /** Number of log events that report a grant as unreadable. */
  countUnreadableEvents: (grantId: string) => number
  answers: string[]
  env: NodeJS.ProcessEnv
}

/** A service with five users who have connected Jira with separate accounts and refreshed once. */
async function createTamperFixture(t: TestContext): Promise<TamperFixture> {
  const url = await ensureDatabase(t, join(createTempFolder(t), 'c.db'))
  const env = { INTEGRATION_DB_URL: url }
  const users = Array.from({ length: PEOPLE_COUNT }, (_, i) => ({
    ...DANA,
    accountId: `712020:person-${i}`,
    nickname: `person${i}`
  }))
  const built = await startTestService(t, env, { users })
  const { app, lines, advanceTime, sandbox } = built
  const answers: string[] = []
  const ask = async (method: 'GET' | 'POST', url: string) => {
    const { statusCode, body, headers } = await app.inject({ method, url })
    answers.push(`${JSON.stringify(headers)}\n${body}`)
    return { status: statusCode, json: JSON.parse(body) as any }
  }
  const damage: TamperFixture = {
    ...built,
    env: { ...buildSandboxEnv(sandbox.url), ...env },
    answers,
    readRows: async () =>
      new Map(
        (
          await queryDatabase<TokenRow & { user_id: number }>(
            url,
            `select user_id, grants.id, key_id, ${TOKEN_COLUMNS.join()} from grants join ` +
              'connections on grant_id = grants.id order by user_id'
          )
        ).map(({ user_id: userId, ...rest }) => [userId, rest])
      ),
    updateRow: async ({ id, ...columns }) => {
      for (const [name, value] of Object.entries(columns)) {
        await queryDatabase(url, `update grants set ${name} = ? where id = ?`, value, id)
      }
    },
    checkConnection: async (userId) => {
      const { status, json } = await ask('POST', `/users/${userId}/connections/jira/check`)
      return { status, ...json }
    },
    history: async (userId) => (await ask('GET', `/users/${userId}/connections/jira/history`)).json,
    countUnreadableEvents: (grantId) =>
      lines().filter(({ event, grant_id: id }) => event === 'grant_unreadable' && id === grantId)
        .length
  }
  for (let i = 0; i < PEOPLE_COUNT; i++) {
    const browser = new Browser(app)
    await browser.open(
      await browser.consent('jira', {
        query: `&state=email%3Dp${i}%40example.com`,
        extra: `&sandbox_account=person${i}`
      })
    )
  }
  advanceTime(2 * HOUR_MS)
  for (let user = 1; user <= PEOPLE_COUNT; user++) {
    if ((await damage.checkConnection(user)).state !== 'active') {
      throw new Error('A connection does not work')
    }
  }
  return damage
}

const getCiphertext = (sealed: string) => sealed.split('.')[2] ?? ''
const replaceCiphertext = (sealed: string, change: (bytes: Buffer) => Buffer) =>
  sealed.replace(getCiphertext(sealed), () =>
    change(Buffer.from(getCiphertext(sealed), 'base64url')).toString('base64url')
  )
const flipBit = (sealed: string, bit: number) =>
  replaceCiphertext(sealed, (bytes) => {
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    return bytes
  })

/** Damage to the row of user 1; `other` is the row of user 2. */
const TAMPERINGS: Array<
  [name: string, change: (mine: TokenRow, other: TokenRow) => Partial<TokenRow>]
> = [
  ...(['access_token', 'refresh_token', 'previous_refresh_token'] as const).flatMap(
    (column): typeof TAMPERINGS => [
      [`${column} of another row`, (_, other) => ({ [column]: other[column] })],
      [
        `${column} of another field`,
        (mine) => ({ [column]: mine[column === 'access_token' ? 'refresh_token' : 'access_token'] })
      ],
      [`${column} cut short`, (mine) => ({ [column]: mine[column].slice(0, -3) })],
      [`${column} with one bit flipped`, (mine) => ({ [column]: flipBit(mine[column], 130) })]
    ]
  ),
  ['all columns of another row', (_, { id, ...columns }) => columns],
  [
    'two fields exchanged',
    (mine) => ({ access_token: mine.refresh_token, refresh_token: mine.access_token })
  ],
  [
    'an unknown key id in the envelope',
    (mine) => ({ access_token: mine.access_token.replace('v2.test.', 'v2.nobody.') })
  ],
  ['another format', (mine) => ({ access_token: mine.access_token.replace('v2.', 'v1.') })],
  [
    'a tag of four bytes',
    (mine) => ({
      access_token: replaceCiphertext(mine.access_token, (bytes) => bytes.subarray(0, -12))
    })
  ],
  [
    'no tag',
    (mine) => ({
      access_token: replaceCiphertext(mine.access_token, (bytes) => bytes.subarray(0, -16))
    })
  ],
  [
    'a nonce alone',
    (mine) => ({
      access_token: replaceCiphertext(mine.access_token, (bytes) => bytes.subarray(0, 12))
    })
  ],
  ['an empty text', () => ({ access_token: '' })],
  // PostgreSQL stores every character except NUL.
  [
    'garbage',
    () => ({ access_token: 'garbage', refresh_token: `${isPostgres ? '\x01' : '\0'}\uFFFD..` })
  ],
  ['a token in plain text', () => ({ access_token: 'planted-plain-token' })]
]

t.test(
  `B2 B3 Each of ${TAMPERINGS.length} kinds of damage disables one connection and deletes nothing`,
  async (t) => {
    const {
      app,
      readRows,
      updateRow,
      checkConnection,
      history,
      countUnreadableEvents,
      answers,
      logText,
      lines,
      advanceTime,
      env
    } = await createTamperFixture(t)
    const [first, second] = [...(await readRows()).values()] as [TokenRow, TokenRow]
    t.match(
      app.vault.decrypt(first.access_token, `grants/${first.id}/access_token`),
      PLAINTEXT_TOKEN,
      'the pattern matches a token'
    )
    for (const [name, change] of TAMPERINGS) {
      const [mine, other] = [
        (await readRows()).get(1) as TokenRow,
        (await readRows()).get(2) as TokenRow
      ]
      const [before, times] = [(await history(1)).length, countUnreadableEvents(mine.id)]
      await updateRow({ id: mine.id, ...change(mine, other) })
      const broken = (await readRows()).get(1)
      t.notSame(broken, mine, `${name}: is damage`)
      // The valid tokens expire: every column is needed.
      advanceTime(2 * HOUR_MS)
      for (let again = 0; again < 3; again++) {
        t.match(
          await checkConnection(1),
          {
            status: 409,
            code: 'needs_reconnect',
            detail: /cannot be decrypted with the configured vault keys/
          },
          name
        )
      }
      t.equal(countUnreadableEvents(mine.id), times + 1, `${name}: said once`)
      t.match(
        await history(1),
        [{ from: 'active', to: 'needs_reconnect', code: 'tokens_undecryptable' }],
        name
      )
      t.equal((await history(1)).length, before + 1, `${name}: one row of history`)
      t.match(
        (await app.inject('/users/1/connections')).json(),
        {
          connections: [
            {
              state: 'needs_reconnect',
              last_error: /cannot be decrypted.*Restore the key, or connect again/
            }
          ]
        },
        name
      )
      t.same((await readRows()).get(1), broken, `${name}: nothing is deleted or overwritten`)
      for (const user of [2, 3]) {
        t.match(
          await checkConnection(user),
          { status: 200, state: 'active' },
          `${name}: user ${user} works`
        )
      }
      await updateRow(mine)
      t.match(
        await checkConnection(1),
        { status: 200, state: 'active', last_error: null },
        `${name}: the original bytes work again`
      )
      t.match(
        await history(1),
        [{ from: 'needs_reconnect', to: 'active', code: null }, { to: 'needs_reconnect' }],
        `${name}: the history records it`
      )
      t.equal((await history(1)).length, before + 2, name)
    }

    await updateRow({ id: second.id, access_token: 'garbage', refresh_token: 'garbage' })
    advanceTime(HOUR_MS)
    t.equal((await checkConnection(2)).status, 409)
    const restarted = await buildTestApp(t, env)
    t.match(
      (
        await restarted.app.inject({ method: 'POST', url: '/users/2/connections/jira/check' })
      ).json(),
      { code: 'needs_reconnect' },
      'a damaged row does not keep the service from starting'
    )
    await restarted.app.close()
    const browser = new Browser(app)
    await browser.open(
      await browser.consent('jira', {
        query: '&state=user_id%3D2',
        extra: '&sandbox_account=person1'
      })
    )
    t.match(
      await checkConnection(2),
      { status: 200, state: 'active' },
      'a new consent restores the connection'
    )
    t.match(await history(2), [
      { from: 'needs_reconnect', to: 'active' },
      { from: 'active', to: 'needs_reconnect' }
    ])
    t.equal((await app.inject('/healthz')).statusCode, 200)
    t.same(
      answers.filter((answer) => PLAINTEXT_TOKEN.test(answer)),
      [],
      'no response contains a token'
    )
    t.notMatch(logText(), PLAINTEXT_TOKEN, 'nor the log')
    t.notMatch(logText(), /planted-plain-token/)
    t.same(
      lines().filter(({ level }) => level === 'fatal'),
      []
    )
  }
)

t.test(
  'B2 Concurrent callers that meet the same damage get the same error, and it is logged once',
  async (t) => {
    const { readRows, updateRow, checkConnection, history, countUnreadableEvents, advanceTime } =
      await createTamperFixture(t)
    const mine = (await readRows()).get(1) as TokenRow
    await updateRow({ id: mine.id, access_token: flipBit(mine.access_token, 200) })
    advanceTime(CACHE_EXPIRED_MS)
    const answers = await Promise.all(
      Array.from({ length: 20 }, async () => await checkConnection(1))
    )
    t.same(
      [...new Set(answers.map(({ status, code }) => `${status} ${code}`))],
      ['409 needs_reconnect']
    )
    t.equal((await history(1)).length, 2, 'one history row besides the connection')
    t.equal(countUnreadableEvents(mine.id), 1, 'one event')
    await updateRow(mine)
    await Promise.all(Array.from({ length: 20 }, async () => await checkConnection(1)))
    t.match(await history(1), [{ to: 'active' }, { to: 'needs_reconnect' }, { from: null }])
    t.equal((await history(1)).length, 3)
    t.same((await readRows()).get(1), mine, 'no refresh was needed')
  }
)

const SWAP_COUNT = pickByScale(20, 1_000)

t.test(
  `B2 T09 Refuses ${SWAP_COUNT} random ciphertext swaps between rows and columns`,
  async (t) => {
    const {
      app,
      readRows,
      updateRow,
      checkConnection,
      history,
      countUnreadableEvents,
      answers,
      logText,
      advanceTime
    } = await createTamperFixture(t)
    const start = chooseSeed()
    t.comment(`SEED=${start}`)
    const random = createRandom(start)
    const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)] as T
    const wrong: string[] = []
    const times: number[] = []
    for (let i = 0; i < SWAP_COUNT; i++) {
      const all = await readRows()
      const [a, b] = [pick([...all.keys()]), pick([...all.keys()])]
      const [x, y] = [pick(TOKEN_COLUMNS), pick(TOKEN_COLUMNS)]
      if (a === b && x === y) {
        i--
        continue
      }
      const name = `swap ${i}: ${x} of user ${a} and ${y} of user ${b}`
      const [one, two] = [all.get(a) as TokenRow, all.get(b) as TokenRow]
      const touched = a === b ? [a] : [a, b]
      await updateRow({ id: one.id, [x]: two[y] })
      await updateRow({ id: two.id, [y]: one[x] })
      advanceTime(2 * HOUR_MS)
      for (const user of all.keys()) {
        const { status, code, state } = await checkConnection(user)
        if (
          touched.includes(user) ? code !== 'needs_reconnect' : status !== 200 || state !== 'active'
        ) {
          wrong.push(`${name}: user ${user} got ${status} ${code ?? state}`)
        }
      }
      for (const user of touched) times[user] = (times[user] ?? 0) + 1
      const now = await readRows()
      if (now.get(a)?.[x] !== two[y] || now.get(b)?.[y] !== one[x]) {
        wrong.push(`${name}: a row was overwritten`)
      }
      await updateRow(one)
      await updateRow(two)
      for (const user of touched) {
        if ((await checkConnection(user)).state !== 'active') {
          wrong.push(`${name}: user ${user} did not recover`)
        }
      }
    }
    t.same(wrong, [])
    for (const [user, { id }] of await readRows()) {
      t.equal(
        countUnreadableEvents(id),
        times[user] ?? 0,
        `each event of user ${user} was logged once`
      )
    }
    t.equal((await app.inject('/healthz')).statusCode, 200)
    t.match(await history(1), [{ to: 'active' }])
    t.same(
      [...answers, logText()].filter((text) => PLAINTEXT_TOKEN.test(text)),
      [],
      'no token in a response or the log'
    )
  }
)
