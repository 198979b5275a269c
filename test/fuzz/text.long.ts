import t from 'tap'
import { keyed, PROTECTED, provider } from '../access/helper.ts'
import { SMALL } from '../auth/helper.ts'
import { connected } from '../helper.ts'
import { operations, type Schema } from './operations.ts'
import { patterns, slowest } from './patterns.ts'
import { injected } from './send.ts'

const LONG = 100_000
/** Below the body limit, so that it reaches what reads fields. */
const WITHIN_BODY = 60_000
const EACH_WITHIN_MS = 1_000

/** Repetitions that patterns with overlapping parts choke on. */
const PIECES = [
  'a',
  '0',
  ' ',
  '\t',
  '.',
  '-',
  '/',
  '\\',
  '"',
  '%',
  '%2',
  '@',
  'a.',
  'a@',
  ',',
  ';',
  '=',
  '&',
  'a=',
  ': ',
  '\u0301',
  '😀',
  'Bearer ',
  'eyJ',
  'code=',
  'token: ',
  'cookie: ',
  '{"a":',
  '[',
  'http://',
  '\\"',
  'user_id=',
  'W/"',
  '1970-',
  '%25',
  'ck_',
  'a-',
  '\u2028',
  '+',
  '('
]
const texts = (length: number) =>
  PIECES.map((piece) => piece.repeat(Math.ceil(length / piece.length)).slice(0, length))

/** Names of a JSON body's fields that take text. */
function textFields(schema: Schema = {}): string[] {
  return Object.keys(
    schema.properties ??
      (schema.anyOf as Schema[] | undefined)?.find(({ properties }) => properties !== undefined)
        ?.properties ??
      {}
  )
}

t.test(
  `C14 T33 ${LONG / 1_000} kB of adversarial text in every field, parameter and header: each answer within a second`,
  async (t) => {
    const idp = await provider(t)
    const { app } = await connected(t, {
      env: { ...PROTECTED, ...idp.env, LOG_LEVEL: 'TRACE' },
      sandbox: SMALL
    })
    const { headers } = await keyed(app, ['admin'])
    const user = (
      await app.inject({
        method: 'POST',
        url: '/users',
        headers,
        payload: { email: 'ada@example.com' }
      })
    ).json().id as number
    const slow: string[] = []
    let worst = { ms: 0, what: '' }
    let count = 0
    const ask = async (what: string, request: Parameters<typeof injected>[1]) => {
      const { status, tookMs } = await injected(app, request)
      count++
      if (tookMs > worst.ms) worst = { ms: tookMs, what }
      if (tookMs > EACH_WITHIN_MS || status >= 500) {
        slow.push(`${what}: ${status} after ${Math.round(tookMs)} ms`)
      }
    }
    for (const { method, path, parameters, body } of await operations(app)) {
      const url = path.replace(/\{\w+\}/g, String(user))
      for (const [i, text] of texts(LONG).entries()) {
        const coded = encodeURIComponent(text)
        // Paths beyond what a parameter may hold are nobody's; a little less is judged by the schema.
        if (path.includes('{')) {
          await ask(`${method} ${path} path ${PIECES[i]}`, {
            method,
            url: path.replace(/\{\w+\}/, encodeURIComponent(text.slice(0, 4_000))),
            headers
          })
        }
        const query = parameters.filter((each) => each.in === 'query').map(({ name }) => name)
        if (query.length > 0) {
          await ask(`${method} ${path} all parameters ${PIECES[i]}`, {
            method,
            url: `${url}?${query.map((name) => `${name}=${coded}`).join('&')}`,
            headers
          })
        }
        for (const name of textFields(body)) {
          await ask(`${method} ${path} ${name} ${PIECES[i]}`, {
            method,
            url,
            headers: { ...headers, 'content-type': 'application/json' },
            payload: JSON.stringify({
              [name]: text.slice(
                0,
                Math.floor((WITHIN_BODY * text.length) / Buffer.byteLength(JSON.stringify(text)))
              )
            })
          })
        }
      }
    }
    for (const [i, text] of texts(LONG).entries()) {
      for (const name of [
        'x-request-id',
        'user-agent',
        'x-forwarded-for',
        'x-forwarded-host',
        'forwarded',
        'origin',
        'referer',
        'cookie',
        'accept',
        'authorization',
        'if-none-match',
        'last-event-id',
        'content-type',
        'content-encoding',
        'host',
        'via',
        'accept-encoding',
        'access-control-request-headers'
      ]) {
        await ask(`header ${name} ${PIECES[i]}`, {
          method: 'GET',
          url: `/jira/projects/${user}`,
          headers: { ...headers, [name]: text }
        })
        await ask(`header ${name} ${PIECES[i]} with a body`, {
          method: 'POST',
          url: '/users',
          headers: { ...headers, 'content-type': 'application/json', [name]: text },
          payload: '{}'
        })
      }
      for (const credential of [
        `Bearer ${text}`,
        `Bearer ck_${text}`,
        `Bearer eyJhbGciOiJFUzI1NiJ9.${text}.x`,
        `Bearer${' '.repeat(LONG)}x`
      ]) {
        await ask(`credential ${PIECES[i]}`, {
          method: 'GET',
          url: '/users',
          headers: { authorization: credential }
        })
      }
      for (const what of [
        'auth/jira/callback?state=',
        'auth/jira/callback?code=x&error=',
        'auth/jira/callback?error_description=',
        'connect?token=',
        'oauth/jira?message=',
        'openapi.json?'
      ]) {
        await ask(`/${what} ${PIECES[i]}`, {
          method: 'GET',
          url: `/${what}${encodeURIComponent(text)}`,
          headers
        })
      }
    }
    t.same(slow, [])
    t.comment(`${count} requests; the slowest took ${Math.round(worst.ms)} ms: ${worst.what}`)
  }
)

/** Twice the text takes a linear pattern twice the time; a quadratic one takes seconds at this length. */
const PATTERN_TEXT = 30_000
const PATTERN_WITHIN_MS = 150

t.test('C14 T33 No regular expression of the service is super-linear', (t) => {
  const all = patterns()
  const measured = all
    .map((pattern) => ({ ...pattern, ...slowest(pattern, PATTERN_TEXT, PATTERN_WITHIN_MS) }))
    .sort((a, b) => b.ms - a.ms)
  const wrong = measured.filter(({ ms }) => ms > PATTERN_WITHIN_MS)
  t.ok(all.length > 60, `${all.length} patterns were found`)
  t.same(
    wrong.map(
      ({ where, regex, ms, text }) => `${where} ${String(regex)}: ${Math.round(ms)} ms for ${text}`
    ),
    []
  )
  for (const { where, regex, ms } of measured.slice(0, 3)) {
    t.comment(`${where} ${String(regex)}: ${ms.toFixed(1)} ms`)
  }
  t.end()
})
