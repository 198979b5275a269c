import t from 'tap'
import { readDatabaseContents, ensureDatabase } from '../database.ts'
import { Browser, PRODUCTS } from '../helper.ts'
import { getAuthorizeParams, pickByScale, startTestService, buildSuccessUrl } from './helper.ts'

const LOGIN_COUNT = pickByScale(300, 10_000)

t.test(
  `A1: ${LOGIN_COUNT} logins get as many states of 43 characters; none is the caller's, and none is stored`,
  async (t) => {
    const url = await ensureDatabase(t, `${t.testdir()}/flows.db`)
    const running = await startTestService(t, { INTEGRATION_DB_URL: url, LOG_LEVEL: 'INFO' })
    const states = new Set<string>()
    const odd: string[] = []
    let last = ''
    for (let i = 0; i < LOGIN_COUNT; i++) {
      const callerState = i % 3 === 0 ? last : `caller-${i}`
      const params = await getAuthorizeParams(
        running,
        PRODUCTS[i % 2] ?? 'jira',
        callerState === '' ? {} : { state: callerState }
      )
      const state = params.get('state') ?? ''
      if (
        !/^[A-Za-z0-9_-]{43,}$/.test(state) ||
        state.includes(callerState === '' ? 'caller' : callerState)
      ) {
        odd.push(state)
      }
      if (params.getAll('state').length !== 1) odd.push('several')
      states.add(state)
      // Sends an issued state as the caller's state; it must not be issued again.
      last = `x${state.slice(0, 20)}`
    }
    t.equal(states.size, LOGIN_COUNT)
    t.same(odd, [])
    const stored = await readDatabaseContents(url)
    t.ok(stored.includes('caller-1'), 'the database has the logins')
    t.same(findWords(stored, states), [])
    t.same(
      findWords(
        stored,
        new Set([...states].map((state) => Buffer.from(state, 'base64url').toString('latin1')))
      ),
      [],
      'nor decoded'
    )
    t.same(findWords(running.logText(), states), [], 'nor logged')
  }
)

t.test(
  'A1: states are random: every character of the alphabet occurs at every position',
  async (t) => {
    const running = await startTestService(t, { LOG_LEVEL: 'WARN' })
    const states: string[] = []
    for (let i = 0; i < 1_000; i++) {
      states.push((await getAuthorizeParams(running, 'jira')).get('state') ?? '')
    }
    const kinds = Array.from(
      { length: 42 },
      (_, place) => new Set(states.map((state) => state[place])).size
    )
    // The probability that one of 64 characters is missing at one position in 1,000 states is
    // (63/64) ** 1000; for any of the 64 about one in 100,000.
    t.ok(
      kinds.every((kind) => kind >= 60),
      `the least varied position has ${Math.min(...kinds)} of 64 characters`
    )
  }
)

t.test(
  'A1: a browser login stores neither its state, nor its binding secret, nor its code',
  async (t) => {
    const url = await ensureDatabase(t, `${t.testdir()}/flows.db`)
    const { app, logText } = await startTestService(t, { INTEGRATION_DB_URL: url })
    const browser = new Browser(app)
    const callback = await browser.consent('jira', { query: '&state=kept' })
    const [key = ''] = browser.cookies.values()
    t.equal((await browser.open(callback)).headers.location, buildSuccessUrl('jira', 1, 'kept'))
    const stored = await readDatabaseContents(url)
    const { searchParams } = new URL(callback)
    for (const [what, value] of Object.entries({
      state: searchParams.get('state') ?? '',
      code: searchParams.get('code') ?? '',
      key
    })) {
      t.ok(value.length >= 43, what)
      t.notOk(stored.includes(value), `${what} is not in the database`)
      t.notOk(logText().includes(value), `${what} is not in the log`)
    }
  }
)

/** The words, all of one length, that occur anywhere in the text. */
function findWords(text: string, words: Set<string>): string[] {
  const [{ length } = ''] = words
  const hits: string[] = []
  for (let i = 0; i + length <= text.length; i++) {
    if (words.has(text.slice(i, i + length))) hits.push(text.slice(i, i + length))
  }
  return hits
}
