import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import t from 'tap'
import { DEMO_CLIENT } from '../../src/sandbox/oauth/clients.ts'
import { NO_RATE_LIMITS, waitFor } from '../helper.ts'
import { BUILD_PATH } from '../process/child.ts'
import { isRunning, REPOSITORY_ROOT, startServiceTree } from '../process/service-tree.ts'
import { startSandbox } from '../sandbox/helper.ts'

execFileSync(process.execPath, ['scripts/build.js', '--if-stale'], { cwd: REPOSITORY_ROOT })

/** Below MIN_IDLE_AGE_MS of the service, a new connection counts as busy. */
const IDLE_AGE_MS = 1_500
/** More than the limit of descriptors allows. */
const EXTRA = 100

for (const limit of [256, 1_024, 4_096]) {
  t.test(`With ulimit -n ${limit} no number of connections ends the service`, async (t) => {
    const sandbox = await startSandbox(t, { clients: [{ ...DEMO_CLIENT, access: 'resource' }] })
    const { url, servicePid, output } = await startServiceTree(
      t,
      ['sh', '-c', `ulimit -n ${limit}; exec ${process.execPath} ${BUILD_PATH}`],
      {
        ...NO_RATE_LIMITS,
        ATLASSIAN_AUTH_URL: sandbox.url,
        ATLASSIAN_API_URL: sandbox.url,
        JIRA_OAUTH_CLIENT_ID: 'sandbox-client',
        JIRA_OAUTH_CLIENT_SECRET: 'sandbox-secret',
        JIRA_OAUTH_REDIRECT_URI: 'http://127.0.0.1:3001/auth/jira/callback'
      }
    )
    const port = Number(new URL(url).port)
    const getStatus = async (path: string) => (await request(port, `GET ${path}`)).status

    const idle = await openConnections(port, limit + EXTRA)
    await new Promise((resolve) => setTimeout(resolve, IDLE_AGE_MS))
    t.ok(isRunning(servicePid), 'idle connections do not end it')
    t.equal(await getStatus('/healthz'), 200)
    t.equal((await createUser(port)).status, 201, 'the database works')
    await connectJira(url)
    await waitFor(async () => {
      const { body } = await request(port, 'GET /integrations/jira/sync/runs/1')
      return body.includes('"state":"succeeded"')
    }, 60_000)

    const max = Number(/"max_connections":(\d+)/.exec(output())?.[1])
    t.ok(max > limit / 3 && max < limit - 64, `${max} connections of ${limit} descriptors`)
    for (const socket of idle) socket.destroy()
    const busy = await openConnections(port, max, UNFINISHED_REQUEST)
    await waitFor(async () => (await getStatus('/users')) === 503, 20_000)
    const health = await request(port, 'GET /healthz')
    t.match(health, { status: 200, head: /connection: close/i }, 'health has a reserve')
    t.match(
      await request(port, 'GET /users'),
      { status: 503, head: /connection: close/i, body: /"code":"unavailable"/ },
      'anything else is refused'
    )
    const [running] = busy.filter(({ readyState }) => readyState === 'open')
    running?.write('{"email":"ada@example.com"}')
    const [answer] = (await once(running ?? busy[0]!, 'data')) as [Buffer]
    t.match(answer.toString(), /^HTTP\/1.1 201 /, 'a running request is answered')

    for (const socket of busy) socket.destroy()
    await waitFor(async () => (await getStatus('/users')) === 200, 20_000)
    const recovered = await request(port, 'GET /users')
    t.notMatch(recovered.head, /connection: close/i, 'it is an ordinary connection again')
    t.match(output(), /"event":"connections_full"/)
    t.ok(isRunning(servicePid))
  })
}

const UNFINISHED_REQUEST =
  'POST /users HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 27\r\n\r\n'

async function openConnections(port: number, count: number, text?: string): Promise<Socket[]> {
  const sockets: Socket[] = []
  while (sockets.length < count) {
    const batch = Array.from({ length: Math.min(64, count - sockets.length) }, () =>
      connect(port, '127.0.0.1').on('error', () => {})
    )
    await Promise.all(
      batch.map(
        (socket) => new Promise((resolve) => socket.once('connect', resolve).once('close', resolve))
      )
    )
    if (text !== undefined) for (const socket of batch) socket.write(text)
    sockets.push(...batch)
  }
  return sockets
}

/** One request on a connection of its own; status 0 if it is closed without a response. */
async function request(port: number, start: string, body = '') {
  const socket = connect(port, '127.0.0.1').on('error', () => {})
  let received = ''
  socket.setEncoding('utf8').on('data', (text: string) => {
    received += text
    const [head = '', content = ''] = received.split('\r\n\r\n')
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? Infinity)
    if (content.length >= length) socket.destroy()
  })
  socket.write(`${start} HTTP/1.1\r\nHost: localhost\r\n`)
  if (body !== '') {
    socket.write(`Content-Type: application/json\r\nContent-Length: ${body.length}\r\n`)
  }
  socket.write(`\r\n${body}`)
  await new Promise((resolve) => socket.once('close', resolve))
  const [head = '', content = ''] = received.split('\r\n\r\n')
  return { status: Number(/^HTTP\/1.1 (\d+)/.exec(head)?.[1] ?? 0), head, body: content }
}

const createUser = async (port: number) =>
  await request(port, 'POST /users', '{"email":"grace@example.com"}')

/** Connects Jira and calls the callback directly: its URL is registered for another port. */
async function connectJira(url: string): Promise<void> {
  const login = (await (await fetch(`${url}/auth/jira/login`)).json()) as { url: string }
  const consent = await fetch(`${login.url}&sandbox_decision=accept`, { redirect: 'manual' })
  const { pathname, search } = new URL(consent.headers.get('location') ?? '')
  await fetch(url + pathname + search, { redirect: 'manual' })
}
