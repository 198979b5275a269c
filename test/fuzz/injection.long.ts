import { connect, type AddressInfo } from 'node:net'
import t from 'tap'
import { REQUEST_ID_PATTERN } from '../api/helper.ts'
import { PRODUCTION_ENV, startTestService } from '../auth/helper.ts'
import { buildTestApp, FRONTEND_URL, SERVICE_URL } from '../helper.ts'
import { HOSTILE_HEADERS } from '../fixtures/headers.ts'
import { HOSTILE_TEXTS } from '../fixtures/hostile.ts'
import { INJECTIONS, READ_HEADERS } from '../fixtures/injections.ts'

/** Headers that this service sets; any other header in a response was injected. */
const ALLOWED_HEADERS = new RegExp(
  `^(${`
    x-request-id cache-control referrer-policy x-content-type-options content-type content-length
    date connection keep-alive vary allow location link etag retry-after www-authenticate
    access-control-[a-z-]+ set-cookie transfer-encoding content-security-policy
    strict-transport-security cross-origin-[a-z-]+ origin-agent-cluster
    x-[a-z-]*(frame|download|dns|cross|xss|ratelimit)[a-z-]* ratelimit[a-z-]* permissions-policy
  `
    .trim()
    .split(/\s+/)
    .join('|')})$`
)

/** Sends bytes on a new connection and reads to the end. */
async function exchangeBytes(port: number, bytes: Buffer): Promise<string> {
  return await new Promise((resolve) => {
    let text = ''
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(bytes)
    })
    socket
      .setEncoding('latin1')
      .on('data', (chunk) => {
        text += chunk.toString()
      })
      .on('error', () => {})
      .on('close', () => {
        resolve(text)
      })
  })
}

/** Problems in the head of a response. */
function findHeadProblems(text: string): string[] {
  const [head = ''] = text.split('\r\n\r\n')
  const [line = '', ...headers] = head.split('\r\n')
  const names = headers.map((header) => header.slice(0, header.indexOf(':')).toLowerCase())
  const id =
    headers
      .find((header) => /^x-request-id:/i.test(header))
      ?.slice('x-request-id:'.length)
      .trim() ?? ''
  return [
    ...(/^HTTP\/1\.1 [2345]\d\d [A-Za-z ]+$/.test(line)
      ? []
      : [`the status line ${JSON.stringify(line)}`]),
    ...names.filter((name) => !ALLOWED_HEADERS.test(name)).map((name) => `a header ${name}`),
    ...(names.length === new Set(names).size ? [] : ['a header twice']),
    ...(/[\r\n\0]/.test(headers.join('')) ? ['a control character'] : []),
    ...(/evil=1|forged/.test(head) ? ['what was sent'] : []),
    ...(REQUEST_ID_PATTERN.test(id) ? [] : [`the request id ${JSON.stringify(id)}`]),
    ...((text.match(/HTTP\/1\.1 \d/g) ?? []).length === 1 ? [] : ['not one answer'])
  ]
}

t.test(
  `T19 E8 C8 ${INJECTIONS.length} injection values in ${READ_HEADERS.length} headers split no header or line`,
  async (t) => {
    const { app, logText: log } = await buildTestApp(t)
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as AddressInfo
    const wrong: string[] = []
    for (const name of READ_HEADERS) {
      await Promise.all(
        INJECTIONS.map(async (value) => {
          const host = name === 'Host' ? '' : 'Host: a\r\n'
          const text = await exchangeBytes(
            port,
            Buffer.from(
              `GET /users/7 HTTP/1.1\r\n${host}Connection: close\r\n${name}: ${value}\r\n\r\n`,
              'latin1'
            )
          )
          // A value that ends the request header adds a request header, which is harmless.
          for (const what of findHeadProblems(text)) {
            wrong.push(`${name}: ${JSON.stringify(value.slice(0, 60))}: ${what}`)
          }
        })
      )
    }
    t.same(wrong, [])
    t.same(findLogProblems(log()), [])
  }
)

t.test('T19 E8 The same values in paths, queries and bodies', async (t) => {
  const { app, logText: log } = await buildTestApp(t)
  const wrong: string[] = []
  for (const text of [...INJECTIONS, ...HOSTILE_TEXTS]) {
    const coded = encodeURIComponent(text.toWellFormed())
    for (const request of [
      { url: `/users/x${coded}` },
      { url: `/nothing/x${coded}` },
      { url: `/users?cursor=${coded}` },
      { url: `/users?${coded}=1` },
      { url: `/auth/jira/login?state=${coded}` },
      { url: `/auth/jira/login?scope=${coded}` },
      { url: `/auth/jira/callback?error=${coded}&state=${coded}` },
      { url: `/oauth/jira?status=error&error=${coded}&message=${coded}` },
      { url: `/connect?token=${coded}` },
      { method: 'POST' as const, url: '/users', payload: { email: text, [text]: text } },
      {
        method: 'POST' as const,
        url: '/users',
        headers: { 'content-type': 'application/json' },
        payload: text
      },
      { method: 'POST' as const, url: '/users', payload: { email: 'a@b.co', display_name: text } },
      { url: '/healthz', headers: { 'x-request-id': text, 'user-agent': text, via: text } }
    ]) {
      const answer = await app.inject(request)
      const headers = Object.entries(answer.headers).filter(([name]) => name !== 'set-cookie')
      if (answer.statusCode >= 500) wrong.push(`${JSON.stringify(request)}: ${answer.statusCode}`)
      if (!REQUEST_ID_PATTERN.test(String(answer.headers['x-request-id']))) {
        wrong.push(`${JSON.stringify(request)}: the request id`)
      }
      for (const [name, value] of headers) {
        if (!ALLOWED_HEADERS.test(name) || /[\r\n\0]/.test(String(value))) {
          wrong.push(`${JSON.stringify(request)}: ${name}: ${String(value)}`)
        }
      }
    }
  }
  t.same(wrong, [])
  t.same(findLogProblems(log()), [])
})

t.test(
  'T05 T06 Forged host, proxy and identity headers do not change the authorize URL and the Location',
  async (t) => {
    for (const [title, env] of [
      ['one that is set up', {}],
      ['one without a front end', { APP_FRONTEND_URL: undefined }]
    ] as const) {
      const { app } = await startTestService(t, {
        ...PRODUCTION_ENV,
        API_ACCESS: 'public',
        LOG_LEVEL: 'ERROR',
        ...env
      })
      const plain = { host: new URL(SERVICE_URL).host, 'x-request-id': 'same' }
      const ask = async (headers: Record<string, string>) => {
        const [login, page, callback, connect, session, list] = [
          await app.inject({ url: '/auth/jira/login?redirect=false', headers }),
          await app.inject({ url: '/auth/jira/login?redirect=true', headers }),
          await app.inject({ url: '/auth/jira/callback?error=access_denied', headers }),
          await app.inject({ method: 'POST', url: '/integrations/jira/connect', headers }),
          await app.inject({
            method: 'POST',
            url: '/connect-sessions',
            headers,
            payload: { user: 'a@b.co' }
          }),
          await app.inject({ url: '/users?limit=1', headers })
        ]
        const authorize = (url: string) => url.replace(/state=[^&]*/, 'state=…')
        return [
          authorize(login.json().url as string),
          authorize(String(page.headers.location)),
          page.headers['set-cookie']?.toString().replace(/flow-[^;]*/, ''),
          callback.headers.location,
          connect.json(),
          (session.json().url as string).replace(/token=.*/, ''),
          list.headers.link,
          list.json()
        ]
      }
      await app.inject({ method: 'POST', url: '/users', payload: { email: 'a@b.co' } })
      await app.inject({ method: 'POST', url: '/users', payload: { email: 'b@b.co' } })
      const usual = await ask(plain)
      const changed: Array<[string, unknown]> = []
      for (const headers of HOSTILE_HEADERS.filter((each) => !('authorization' in each))) {
        const answered = await ask({ ...plain, ...headers })
        for (const [i, value] of answered.entries()) {
          if (JSON.stringify(value) !== JSON.stringify(usual[i])) {
            changed.push([JSON.stringify(headers), value])
          }
        }
      }
      t.match(
        usual[3],
        new RegExp(
          `^${env === undefined || !('APP_FRONTEND_URL' in env) ? FRONTEND_URL : SERVICE_URL}/oauth/jira`
        )
      )
      t.same(changed, [], `${HOSTILE_HEADERS.length} sets of headers to ${title}`)
    }
  }
)

/** Problems in a log. */
function findLogProblems(log: string): string[] {
  const lines = log.split('\n')
  const wrong = lines.pop() === '' ? [] : ['the last line does not end']
  for (const line of lines) {
    try {
      const {
        request_id: id,
        event,
        level,
        timestamp
      } = JSON.parse(line) as Record<string, unknown>
      if (
        event === 'forged' ||
        level === 'fatal' ||
        typeof event !== 'string' ||
        typeof timestamp !== 'string'
      ) {
        wrong.push(`forged: ${line.slice(0, 200)}`)
      }
      if (id !== undefined && !REQUEST_ID_PATTERN.test(String(id))) {
        wrong.push(`request id: ${line.slice(0, 200)}`)
      }
    } catch {
      wrong.push(`not JSON: ${line.slice(0, 200)}`)
    }
    if (['\r', '\0', '\u001b'].some((control) => line.includes(control))) {
      wrong.push(`a control character: ${line.slice(0, 200)}`)
    }
  }
  return wrong
}
