import t from 'tap'
import { createApiKey, PROTECTED_ENV, startIdentityProvider } from '../access/helper.ts'
import { pickByScale, SMALL_SANDBOX } from '../auth/helper.ts'
import { buildAppWithSandbox } from '../helper.ts'
import type { JsonSchema } from '../openapi/dereference.ts'
import { listOperations } from './operations.ts'
import { findPatterns, measureSlowest } from './patterns.ts'
import { sendByInject } from './send.ts'

const LONG_TEXT_LENGTH = 100_000
/** Below the body limit, so that the text reaches the field validation. */
const MAX_BODY_TEXT_LENGTH = 60_000
const REQUEST_TIMEOUT_MS = 1_000

/** Repetitions that make patterns with overlapping parts backtrack. */
const REPEATED_PIECES = [
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
const buildTexts = (length: number) =>
  REPEATED_PIECES.map((piece) => piece.repeat(Math.ceil(length / piece.length)).slice(0, length))

/** Each operation gets every text at heavy counts, otherwise every third: the next one another third. */
const STRIDE = pickByScale(3, 1)

/** The text fields of a JSON body. */
function listTextFields(schema: JsonSchema = {}): string[] {
  return Object.keys(
    schema.properties ??
      (schema.anyOf as JsonSchema[] | undefined)?.find(({ properties }) => properties !== undefined)
        ?.properties ??
      {}
  )
}

t.test(
  `C14 T33 ${LONG_TEXT_LENGTH / 1_000} kB of adversarial text in any field: each response within a second`,
  async (t) => {
    const idp = await startIdentityProvider(t)
    const { app } = await buildAppWithSandbox(t, {
      env: { ...PROTECTED_ENV, ...idp.env, LOG_LEVEL: 'TRACE' },
      sandbox: SMALL_SANDBOX
    })
    const { headers } = await createApiKey(app, ['admin'])
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
    const ask = async (what: string, request: Parameters<typeof sendByInject>[1]) => {
      const { status, tookMs } = await sendByInject(app, request)
      count++
      if (tookMs > worst.ms) worst = { ms: tookMs, what }
      if (tookMs > REQUEST_TIMEOUT_MS || status >= 500) {
        slow.push(`${what}: ${status} after ${Math.round(tookMs)} ms`)
      }
    }
    const operations = await listOperations(app)
    for (const [n, { method, path, parameters, body }] of operations.entries()) {
      const url = path.replace(/\{\w+\}/g, String(user))
      for (const [i, text] of buildTexts(LONG_TEXT_LENGTH).entries()) {
        if ((i + n) % STRIDE !== 0) continue
        const coded = encodeURIComponent(text)
        // Longer path parameters match no route; shorter ones reach the schema.
        if (path.includes('{')) {
          await ask(`${method} ${path} path ${REPEATED_PIECES[i]}`, {
            method,
            url: path.replace(/\{\w+\}/, encodeURIComponent(text.slice(0, 4_000))),
            headers
          })
        }
        const query = parameters.filter((each) => each.in === 'query').map(({ name }) => name)
        if (query.length > 0) {
          await ask(`${method} ${path} all parameters ${REPEATED_PIECES[i]}`, {
            method,
            url: `${url}?${query.map((name) => `${name}=${coded}`).join('&')}`,
            headers
          })
        }
        for (const name of listTextFields(body)) {
          await ask(`${method} ${path} ${name} ${REPEATED_PIECES[i]}`, {
            method,
            url,
            headers: { ...headers, 'content-type': 'application/json' },
            payload: JSON.stringify({
              [name]: text.slice(
                0,
                Math.floor(
                  (MAX_BODY_TEXT_LENGTH * text.length) / Buffer.byteLength(JSON.stringify(text))
                )
              )
            })
          })
        }
      }
    }
    for (const [i, text] of buildTexts(LONG_TEXT_LENGTH).entries()) {
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
        await ask(`header ${name} ${REPEATED_PIECES[i]}`, {
          method: 'GET',
          url: `/jira/projects/${user}`,
          headers: { ...headers, [name]: text }
        })
        await ask(`header ${name} ${REPEATED_PIECES[i]} with a body`, {
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
        `Bearer${' '.repeat(LONG_TEXT_LENGTH)}x`
      ]) {
        await ask(`credential ${REPEATED_PIECES[i]}`, {
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
        await ask(`/${what} ${REPEATED_PIECES[i]}`, {
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

/**
 * A linear pattern takes twice the time for twice the text; a quadratic one takes seconds at
 * this length.
 */
const PATTERN_TEXT_LENGTH = pickByScale(10_000, 30_000)
const PATTERN_TIMEOUT_MS = pickByScale(100, 150)

t.test('C14 T33 No regular expression of the service is super-linear', (t) => {
  const all = findPatterns()
  const measured = all
    .map((pattern) => ({
      ...pattern,
      ...measureSlowest(pattern, PATTERN_TEXT_LENGTH, PATTERN_TIMEOUT_MS)
    }))
    .sort((a, b) => b.ms - a.ms)
  const wrong = measured.filter(({ ms }) => ms > PATTERN_TIMEOUT_MS)
  t.ok(all.length > 60, `${all.length} patterns were found`)
  t.same(
    wrong.map(
      ({ location, regex, ms, text }) =>
        `${location} ${String(regex)}: ${Math.round(ms)} ms for ${text}`
    ),
    []
  )
  for (const { location, regex, ms } of measured.slice(0, 3)) {
    t.comment(`${location} ${String(regex)}: ${ms.toFixed(1)} ms`)
  }
  t.end()
})
