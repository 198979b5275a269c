import { Browser, decide } from '../helper.ts'
import { edited, login, type Product, type Service } from '../auth/helper.ts'

/** What a callback is hit with. */
export interface Scene extends Service {
  browser: Browser
}

export interface Callback {
  title: string
  /** Does what comes before the hit in question; resolves to its address. */
  prepare: (scene: Scene) => Promise<string>
  /** Whose page the browser ends on. */
  product: Product
  /** null: the login succeeds; `422`: the request itself does not fit. */
  error: string | null | 422
  /** Calls to the token endpoint, those of `prepare` included. */
  calls: number
  state?: string
}

const jira = async ({ browser }: Scene, query = '') => await browser.consent('jira', { query })
const confluence = async ({ browser }: Scene) => await browser.consent('confluence')
const cancelled = async ({ browser }: Scene) =>
  await browser.consent('jira', { decision: 'cancel' })
const at = async (address: Promise<string>, path: string) =>
  edited(await address, () => undefined, path)
const having = async (address: Promise<string>, fields: Record<string, string>) =>
  edited(await address, (query) => {
    for (const [name, value] of Object.entries(fields)) query.set(name, value)
  })
const lacking = async (address: Promise<string>, ...names: string[]) =>
  edited(await address, (query) => {
    for (const name of names) query.delete(name)
  })
const twice = async (address: Promise<string>, name: string) =>
  edited(await address, (query) => {
    query.append(name, query.get(name) ?? '')
  })
const hitBefore = async ({ browser }: Scene, address: string) => {
  await browser.open(address)
  return address
}
const codeOf = (address: string) => new URL(address).searchParams.get('code') ?? ''
const FORGED = 'A'.repeat(43)

/** A person's own keys, turned: the flow's name stays, its value does not. */
function turnKeys({ cookies }: Browser, turn: (value: string) => string): void {
  for (const [name, value] of cookies) cookies.set(name, turn(value))
}

const fine = (
  title: string,
  product: Product,
  prepare: Callback['prepare'],
  state?: string
): Callback => ({
  title,
  product,
  prepare,
  error: null,
  calls: 1,
  ...(state === undefined ? {} : { state })
})
const bad = (
  error: string | 422,
  title: string,
  prepare: Callback['prepare'],
  product: Product = 'jira',
  calls = 0
): Callback => ({ title, product, prepare, error, calls })

/** In production, where every login was started by a page navigation. */
export const CALLBACKS: readonly Callback[] = [
  fine('with everything right', 'jira', jira),
  fine("with everything right, Confluence's", 'confluence', confluence),
  fine('under /api', 'jira', (s) => at(jira(s), '/api/auth/jira/callback')),
  fine("under /api, Confluence's", 'confluence', (s) =>
    at(confluence(s), '/api/auth/confluence/callback')
  ),
  fine('at the callback for both, of a Jira login', 'jira', (s) =>
    at(jira(s), '/oauth/atlassian/callback')
  ),
  fine('at the callback for both, of a Confluence login', 'confluence', (s) =>
    at(confluence(s), '/oauth/atlassian/callback')
  ),
  fine('at the callback for both under /api, of a Jira login', 'jira', (s) =>
    at(jira(s), '/api/oauth/atlassian/callback')
  ),
  fine('at the callback for both under /api, of a Confluence login', 'confluence', (s) =>
    at(confluence(s), '/api/oauth/atlassian/callback')
  ),
  fine('with a slash at the end', 'jira', (s) => at(jira(s), '/auth/jira/callback/')),
  fine('with parameters of its own', 'jira', (s) =>
    having(jira(s), { session_state: 'x', iss: 'https://auth.atlassian.com' })
  ),
  fine('with an empty error', 'jira', (s) => having(jira(s), { error: '' })),
  fine('a second before the ten minutes are over', 'jira', async (s) => {
    const address = await jira(s)
    s.pass(599_000)
    return address
  }),
  fine('that came before already', 'jira', async (s) => await hitBefore(s, await jira(s))),
  fine('that came before already, at its twin', 'jira', async (s) =>
    edited(await hitBefore(s, await jira(s)), () => undefined, '/api/oauth/atlassian/callback')
  ),
  fine('that came before already, ten minutes ago', 'jira', async (s) => {
    const address = await hitBefore(s, await jira(s))
    s.pass(600_000)
    return address
  }),
  fine('of one of several logins at once', 'jira', async (s) => {
    const first = await jira(s)
    await confluence(s)
    await jira(s)
    return first
  }),
  fine("whose caller's state comes back", 'jira', (s) => jira(s, '&state=kc-oauth'), 'kc-oauth'),

  bad('access_denied', 'where consent was not given', cancelled),
  bad(
    'access_denied',
    "where consent was not given, Confluence's",
    (s) => s.browser.consent('confluence', { decision: 'cancel' }),
    'confluence'
  ),
  bad(
    'access_denied',
    'where consent was not given, at the callback for both',
    (s) => at(s.browser.consent('confluence', { decision: 'cancel' }), '/oauth/atlassian/callback'),
    'confluence'
  ),
  bad(
    'access_denied',
    'where consent was not given, twice',
    async (s) => await hitBefore(s, await cancelled(s))
  ),
  bad('access_denied', 'where consent was not given, with an unknown state', (s) =>
    having(cancelled(s), { state: FORGED })
  ),
  bad('access_denied', 'where consent was not given, with no state', (s) =>
    lacking(cancelled(s), 'state')
  ),
  bad('access_denied', 'where consent was not given, and yet a code came', (s) =>
    having(jira(s), { error: 'access_denied' })
  ),
  bad('access_denied', 'where consent was not given, in another browser', async (s) => {
    const address = await cancelled(s)
    s.browser.cookies.clear()
    return address
  }),
  bad('oauth_error', 'with another error', (s) => having(cancelled(s), { error: 'server_error' })),
  bad('oauth_error', 'with an error that is a script', (s) =>
    having(cancelled(s), { error: '<script>alert(1)</script>', error_description: '"><img src=x>' })
  ),
  bad('missing_code', 'without a code', (s) => lacking(jira(s), 'code')),
  bad('missing_code', 'with an empty code', (s) => having(jira(s), { code: '' })),
  bad(
    'missing_code',
    'without a code, Confluence at the callback for both',
    (s) => at(lacking(confluence(s), 'code'), '/oauth/atlassian/callback'),
    'confluence'
  ),
  bad('missing_state', 'without a state', (s) => lacking(jira(s), 'state')),
  bad('missing_state', 'with an empty state', (s) => having(jira(s), { state: '' })),
  bad('missing_state', 'with nothing', (s) => lacking(jira(s), 'state', 'code')),
  bad('unknown_state', 'with a state nobody issued', (s) => having(jira(s), { state: FORGED })),
  bad(
    'unknown_state',
    "with a state nobody issued, Confluence's",
    (s) => having(confluence(s), { state: FORGED }),
    'confluence'
  ),
  bad('unknown_state', 'with a state nobody issued, at the callback for both', (s) =>
    at(having(confluence(s), { state: FORGED }), '/oauth/atlassian/callback')
  ),
  bad('unknown_state', "with the caller's state for a state", (s) =>
    having(jira(s, '&state=kc-oauth'), { state: 'kc-oauth' })
  ),
  bad('unknown_state', "with a user's name for a state", (s) =>
    having(jira(s), { state: 'user_id=1' })
  ),
  bad('unknown_state', 'with a state in capitals', async (s) =>
    edited(await jira(s), (query) => {
      query.set('state', (query.get('state') ?? '').toUpperCase())
    })
  ),
  bad('unknown_state', 'with a state cut short', async (s) =>
    edited(await jira(s), (query) => {
      query.set('state', (query.get('state') ?? '').slice(0, 42))
    })
  ),
  bad('unknown_state', 'with a blank after the state', async (s) =>
    edited(await jira(s), (query) => {
      query.set('state', `${query.get('state')} `)
    })
  ),
  bad('unknown_state', 'with the hash of something for a state', (s) =>
    having(jira(s), { state: "' OR 1=1 --" })
  ),
  bad('expired_state', 'ten minutes after the login', async (s) => {
    const address = await jira(s)
    s.pass(600_000)
    return address
  }),
  bad(
    'replayed_state',
    'with the state of a login that was used with another code',
    async (s) => await having(hitBefore(s, await jira(s)), { code: 'another' }),
    'jira',
    1
  ),
  bad('replayed_state', 'with a code after consent was not given', async (s) =>
    edited(await hitBefore(s, await cancelled(s)), (query) => {
      query.delete('error')
      query.set('code', 'late')
    })
  ),
  bad('wrong_product', "of Jira's login at Confluence's callback", (s) =>
    at(jira(s), '/auth/confluence/callback')
  ),
  bad(
    'wrong_product',
    "of Confluence's login at Jira's callback",
    (s) => at(confluence(s), '/auth/jira/callback'),
    'confluence'
  ),
  bad('wrong_product', "of Jira's login at Confluence's callback under /api", (s) =>
    at(jira(s), '/api/auth/confluence/callback')
  ),
  bad('wrong_browser', 'in a browser without the cookie', async (s) => {
    const address = await jira(s)
    s.browser.cookies.clear()
    return address
  }),
  bad('wrong_browser', 'with another value in the cookie', async (s) => {
    const address = await jira(s)
    turnKeys(s.browser, () => FORGED)
    return address
  }),
  bad('wrong_browser', 'with nothing in the cookie', async (s) => {
    const address = await jira(s)
    turnKeys(s.browser, () => '')
    return address
  }),
  bad('wrong_browser', "with the key of the same browser's other login", async (s) => {
    const address = await jira(s)
    const other = new Browser(s.app)
    await other.consent('jira')
    const [key = ''] = other.cookies.values()
    turnKeys(s.browser, () => key)
    return address
  }),
  bad(
    'wrong_browser',
    'that came before already, in a browser without the cookie',
    async (s) => {
      const address = await hitBefore(s, await jira(s))
      s.browser.cookies.clear()
      return address
    },
    'jira',
    1
  ),
  bad(
    'code_refused',
    'with a code nobody issued',
    (s) => having(jira(s), { code: 'made-up' }),
    'jira',
    1
  ),
  bad(
    'code_refused',
    'with a code nobody issued, twice',
    async (s) => await hitBefore(s, await having(jira(s), { code: 'made-up' })),
    'jira',
    1
  ),
  bad(
    'code_refused',
    "T03: with a code of the other product's app",
    async (s) => await having(jira(s), { code: codeOf(await confluence(s)) }),
    'jira',
    1
  ),
  bad(
    'code_refused',
    'T03: with a code that another person has used',
    async (s) => {
      const theirs = new Browser(s.app)
      const used = await theirs.consent('jira')
      await theirs.open(used)
      return await having(jira(s), { code: codeOf(used) })
    },
    'jira',
    2
  ),
  bad(422, 'with two states', (s) => twice(jira(s), 'state')),
  bad(422, 'with two codes', (s) => twice(jira(s), 'code')),
  bad(422, 'with two errors', (s) => twice(cancelled(s), 'error')),
  bad(422, 'with a state of nine thousand characters', (s) =>
    having(jira(s), { state: 'A'.repeat(9_000) })
  ),
  bad(422, 'with a code of nine thousand characters', (s) =>
    having(jira(s), { code: 'A'.repeat(9_000) })
  )
]

/** Each made-up code is another one: the same callback twice would be told the first one's outcome. */
let made = 0

/** In development, where a state that the service did not issue is taken too. */
export const DEVELOPMENT: readonly Callback[] = [
  fine(
    'with a state nobody issued',
    'jira',
    (s) => having(jira(s), { state: 'by-hand' }),
    'by-hand'
  ),
  fine(
    "with a state nobody issued, Confluence's",
    'confluence',
    (s) => having(confluence(s), { state: 'by-hand' }),
    'by-hand'
  ),
  bad('user_not_found', 'with a state nobody issued that names an unknown user', (s) =>
    having(jira(s), { state: 'user_id=99' })
  ),
  bad('unknown_state', 'with a state that is no text and no engine could keep', (s) =>
    having(jira(s), { state: 'a\0b' })
  ),
  bad('missing_code', 'with a state nobody issued and no code', (s) =>
    having(lacking(jira(s), 'code'), { state: 'by-hand' })
  ),
  bad('missing_state', 'with nothing', (s) => lacking(jira(s), 'state', 'code')),
  bad(
    'code_refused',
    'with a state and a code nobody issued',
    (s) => having(jira(s), { state: 'by-hand', code: `made-up-${++made}` }),
    'jira',
    1
  ),
  bad('wrong_product', "of Jira's login at Confluence's callback", (s) =>
    at(jira(s), '/auth/confluence/callback')
  ),
  bad('wrong_browser', 'in a browser without the cookie', async (s) => {
    const address = await jira(s)
    s.browser.cookies.clear()
    return address
  }),
  fine(
    'of a login that a program started, in any browser',
    'jira',
    async (s) => await decide((await login(s, 'jira')).json().url as string)
  )
]
