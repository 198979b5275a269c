import type { InjectOptions } from 'fastify'
import t from 'tap'
import { Browser, answerConsentPage, CLIENT_SECRET } from '../helper.ts'
import {
  editUrl,
  requestLogin,
  PRODUCTION_ENV,
  startTestService,
  type TestService
} from './helper.ts'

type HttpMethod = NonNullable<InjectOptions['method']>

/** Requests below /auth and /oauth/atlassian with their documented statuses. */
const REQUESTS: ReadonlyArray<[method: HttpMethod, path: string, status: number]> = [
  ['GET', '/auth/jira/login', 200],
  ['GET', '/auth/jira/login/', 200],
  ['HEAD', '/auth/jira/login', 200],
  ['GET', '/auth/jira/login?redirect=true', 307],
  ['HEAD', '/auth/jira/login?redirect=1', 307],
  ['GET', '/auth/jira/login?redirect=maybe', 422],
  ['GET', '/auth/jira/login?unknown=1', 200],
  ['GET', '/auth/jira/login?state=%00', 422],
  ['GET', `/auth/jira/login?state=${'x'.repeat(513)}`, 422],
  ['GET', '/auth/jira/login?return_url=//evil.example', 422],
  ['POST', '/auth/jira/login', 405],
  ['PUT', '/auth/jira/login', 405],
  ['DELETE', '/auth/jira/login', 405],
  ['PATCH', '/auth/jira/login', 405],
  ['GET', '/auth/confluence/login', 200],
  ['GET', '/auth/confluence/login?redirect=true', 307],
  ['GET', '/auth/jira/callback', 302],
  ['HEAD', '/auth/jira/callback', 405],
  ['GET', '/auth/jira/callback?error=access_denied', 302],
  ['GET', '/auth/jira/callback?code=eyJh.x.y&state=eyJh', 302],
  ['GET', '/auth/jira/callback?code=a&code=b', 422],
  ['GET', `/auth/jira/callback?code=${'x'.repeat(8_193)}`, 422],
  ['POST', '/auth/jira/callback?code=eyJh&state=eyJh', 405],
  ['DELETE', '/auth/jira/callback', 405],
  ['GET', '/auth/confluence/callback?error=server_error', 302],
  ['GET', '/oauth/atlassian/callback?error=access_denied', 302],
  ['GET', '/oauth/atlassian/callback/?code=eyJh', 302],
  ['POST', '/oauth/atlassian/callback', 405],
  ['GET', '/oauth/atlassian', 404],
  ['GET', '/oauth/atlassian/login', 404],
  ['GET', '/oauth/atlassian/callback/more', 404],
  ['GET', '/auth/%zz', 400],
  ['GET', '/auth/jira/login%', 400],
  ['GET', '/auth', 404],
  ['GET', '/auth/', 404],
  ['GET', '/auth/jira', 404],
  ['GET', '/auth/github/login', 404],
  ['GET', '/auth/github/callback?code=eyJh&state=eyJh', 404],
  ['GET', '/auth/JIRA/login', 404],
  ['GET', '/auth/jira/callback/eyJhbGciOiJIUzI1NiJ9', 404],
  ['POST', '/auth/github/login', 404]
]

/** Properties that every response here must have. */
function findResponseProblems(
  { statusCode, headers, body }: Awaited<ReturnType<typeof requestLogin>>,
  secrets: readonly string[] = []
): string[] {
  const searchedText = `${statusCode === 307 ? '' : (headers.location ?? '')} ${body}`
  return [
    ...(headers['cache-control'] === 'no-store' ? [] : ['cache-control']),
    ...(headers['referrer-policy'] === 'no-referrer' ? [] : ['referrer-policy']),
    ...(headers['x-content-type-options'] === 'nosniff' ? [] : ['x-content-type-options']),
    ...(/^[A-Za-z0-9._-]{1,64}$/.test(String(headers['x-request-id'])) ? [] : ['x-request-id']),
    ...(headers.location === undefined || [302, 307].includes(statusCode) ? [] : ['location']),
    ...[CLIENT_SECRET, 'eyJh', 'access_token', 'refresh_token', ...secrets].filter((secret) =>
      searchedText.includes(secret)
    )
  ]
}

for (const prefix of ['', '/api']) {
  t.test(
    `A6: responses below ${prefix}/auth and ${prefix}/oauth/atlassian forbid caching and send no referrer`,
    async (t) => {
      const { app } = await startTestService(t, PRODUCTION_ENV)
      for (const [method, path, status] of REQUESTS) {
        for (const accept of ['text/html', '*/*']) {
          const answer = await app.inject({ method, url: prefix + path, headers: { accept } })
          const isBrowser = accept === 'text/html'
          t.equal(
            answer.statusCode,
            isBrowser && status === 200 ? 307 : status,
            `${method} ${path.slice(0, 60)}`
          )
          t.same(findResponseProblems(answer), [])
          if (status === 405) {
            t.equal(answer.headers.allow, path.includes('/callback') ? 'GET' : 'GET, HEAD')
          }
          if (isBrowser && status === 422) {
            t.match(answer.headers['content-type'], /^text\/html/, 'a page')
          } else if (status >= 400) {
            t.match(answer, { headers: { 'content-type': 'application/problem+json' } })
            if (method !== 'HEAD') {
              t.match(answer.json(), {
                status,
                code: /^[a-z_]+$/,
                request_id: answer.headers['x-request-id']
              })
            }
          }
          if (method === 'HEAD') t.equal(answer.body, '')
        }
      }
    }
  )
}

/** Callback outcomes, each with the secrets of its own login. */
const CALLBACK_OUTCOMES: Record<
  string,
  (running: TestService, callback: string) => Promise<string>
> = {
  'that succeeds': async (_, callback) => callback,
  'where consent was not given': async (_, callback) =>
    editUrl(callback, (query) => {
      query.set('error', 'access_denied')
    }),
  'with a refused code': async (_, callback) =>
    editUrl(callback, (query) => {
      query.set('code', `${query.get('code')}x`)
    }),
  'without an answer': async ({ sandbox }, callback) => {
    await sandbox.admin('faults', { match: { path: '/oauth/token' }, kind: 'drop-before' })
    return callback
  },
  'whose answer is full of tokens and no use': async ({ sandbox }, callback) => {
    await sandbox.admin('faults', {
      match: { path: '/oauth/token' },
      kind: 'status',
      status: 403,
      body: {
        error: 'invalid_grant',
        error_description: 'eyJhbGciOi.access_token',
        refresh_token: 'eyJhbGciOi'
      }
    })
    return callback
  },
  'that has expired': async ({ advanceTime }, callback) => {
    advanceTime(600_000)
    return callback
  },
  'at the wrong product': async (_, callback) => callback.replace('/jira/', '/confluence/')
}

for (const [title, prepare] of Object.entries(CALLBACK_OUTCOMES)) {
  t.test(
    `A6: T22: a callback ${title} reveals neither its code nor its state nor a token`,
    async (t) => {
      const running = await startTestService(t, PRODUCTION_ENV)
      for (const accept of ['text/html', 'application/json']) {
        const browser = new Browser(running.app)
        const callback = await prepare(running, await browser.consent('jira'))
        const { searchParams } = new URL(callback)
        const secrets = [
          searchParams.get('code') ?? '',
          searchParams.get('state') ?? '',
          ...browser.cookies.values()
        ]
        t.ok(secrets.every((secret) => secret.length >= 43))
        for (const answer of [
          await browser.open(callback, { accept }),
          await browser.open(callback, { accept })
        ]) {
          t.same(findResponseProblems(answer, secrets), [])
          t.ok(
            accept === 'text/html' || title === 'that succeeds'
              ? answer.statusCode === 302
              : [400, 502].includes(answer.statusCode)
          )
        }
        t.same(
          secrets.filter((secret) => running.logText().includes(secret)),
          [],
          'not in the log'
        )
      }
    }
  )
}

t.test(
  "T22: the service's own pages show a failure as text, load nothing, and have no external links",
  async (t) => {
    const { app } = await startTestService(t, { ...PRODUCTION_ENV, APP_FRONTEND_URL: undefined })
    const script = '"><script>alert(1)</script><img src=//evil.example>'
    for (const prefix of ['', '/api']) {
      for (const path of ['/oauth/jira', '/oauth/confluence', '/oauth/callback']) {
        const query = new URLSearchParams({
          status: 'error',
          error: script.slice(0, 60),
          message: script,
          request_id: script.slice(0, 60),
          provider: 'x'
        })
        const answer = await app.inject(`${prefix}${path}?${query}`)
        t.equal(answer.statusCode, 200)
        t.same(findResponseProblems(answer), [])
        t.match(
          answer.headers['content-security-policy'],
          /^default-src 'none';.* style-src 'sha256-/
        )
        t.notMatch(answer.headers['content-security-policy'], /script-src|unsafe|https?:|\*/)
        t.notMatch(answer.body, /<script|<img|onerror|https?:\/\//)
        t.match(answer.body, 'href="../auth/')
      }
    }
  }
)

t.test('T22: a program gets the authorize URL and no binding cookie', async (t) => {
  const running = await startTestService(t)
  const answer = await requestLogin(running, 'jira')
  t.strictSame(Object.keys(answer.json()), ['url', 'provider'])
  t.same(findResponseProblems(answer), [])
  t.equal(answer.headers['set-cookie'], undefined)
  t.ok(await answerConsentPage(answer.json().url as string))
})
