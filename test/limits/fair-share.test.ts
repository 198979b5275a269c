import t from 'tap'
import { createFairGate, takeTurns } from '../../src/http/fair-gate.ts'
import { startSyncedService } from '../api/synced-service.ts'
import { SMALL_SANDBOX } from '../auth/helper.ts'
import { buildTestApp } from '../helper.ts'
import { MINUTE_MS } from '../time.ts'

t.test(
  'T37 People take turns at expensive reads, however many each of them asks for',
  async (t) => {
    const readInTurn = createFairGate({ maxRunning: 2, maxWaiting: 20 })
    const order: number[] = []
    let running = 0
    const read = async (person: number) =>
      await readInTurn(person, async () => {
        t.ok(++running <= 2, 'at most two at once')
        order.push(person)
        await new Promise((resolve) => setImmediate(resolve))
        running--
      })
    const heavy = Array.from({ length: 20 }, async () => await read(1))
    await Promise.all([read(2), read(3)])
    t.ok(order.indexOf(3) <= 4, `both others are served after a few reads: ${order.join()}`)
    await Promise.all(heavy)
    t.equal(order.length, 22)
  }
)

t.test(
  'T37 Refuses further reads of a person who has many waiting; others are served',
  async (t) => {
    const readInTurn = createFairGate({ maxRunning: 1, maxWaiting: 3 })
    let open = () => {}
    const gate = new Promise<void>((resolve) => {
      open = resolve
    })
    const reads = Array.from({ length: 4 }, async () => await readInTurn(1, async () => await gate))
    await t.rejects(
      readInTurn(1, async () => {}),
      { code: 'too_many_requests' }
    )
    const other = readInTurn(2, async () => 'served')
    open()
    t.equal(await other, 'served')
    await Promise.all(reads)
    await t.rejects(
      readInTurn(1, async () => await Promise.reject(new Error('failed'))),
      { message: 'failed' }
    )
    t.equal(await readInTurn(1, async () => 'again'), 'again', 'a failed read gives its place back')
  }
)

t.test('T37 A document that is left half-way frees its place', async (t) => {
  const readInTurn = createFairGate({ maxRunning: 1, maxWaiting: 1 })
  let isClosed = false
  async function* produce() {
    try {
      yield 'a'
      yield 'b'
    } finally {
      isClosed = true
    }
  }
  const document = takeTurns(produce(), readInTurn, 1)
  t.same(await document.next(), { done: false, value: 'a' })
  await document.return(undefined)
  t.ok(isClosed)
  t.equal(await readInTurn(2, async () => 'served'), 'served')
})

t.test('T37 One user has some long polls at once, and the others theirs', async (t) => {
  const { app } = await buildTestApp(t)
  for (const name of ['ada', 'bob']) {
    await app.inject({ method: 'POST', url: '/users', payload: { email: `${name}@example.com` } })
  }
  const { next } = (await app.inject('/users/1/changes')).json<{ next: string }>()
  const wait = async (user: number, since: string) =>
    await app.inject(`/users/${user}/changes?since=${since}&wait=2`)
  const polls = Array.from({ length: 20 }, async () => await wait(1, next))
  const refused = await wait(1, next)
  t.equal(refused.statusCode, 429)
  t.match(refused.headers, { 'retry-after': /^\d+$/ })
  const other = (await app.inject('/users/2/changes')).json<{ next: string }>()
  t.equal((await wait(2, other.next)).statusCode, 200)
  for (const answer of await Promise.all(polls)) t.equal(answer.statusCode, 200)
  t.equal((await wait(1, next)).statusCode, 200, 'afterwards the first can wait again')
})

t.test('T37 One user has two exports at once, and the others theirs', async (t) => {
  const { app } = await buildTestApp(t)
  for (const name of ['ada', 'bob']) {
    await app.inject({ method: 'POST', url: '/users', payload: { email: `${name}@example.com` } })
  }
  const closers = [app.fairShare.openExport(1), app.fairShare.openExport(1)]
  const refused = await app.inject('/users/1/export')
  t.equal(refused.statusCode, 429)
  t.match(refused.json(), { code: 'too_many_requests', detail: /2 exports/ })
  t.equal((await app.inject('/users/2/export')).statusCode, 200)
  closers[0]?.()
  t.equal((await app.inject('/users/1/export')).statusCode, 200, 'one has ended')
  closers[1]?.()
})

t.test('T37 A full copy can be requested again after the cool-down', async (t) => {
  let clock = Date.now()
  const service = await startSyncedService(t, ['jira'], {
    env: { SYNC_FULL_COOLDOWN: '10', SYNC_INTERVAL: '0' },
    sandbox: { ...SMALL_SANDBOX },
    now: () => clock
  })
  const request = async (mode: string) =>
    await service.app.inject({ method: 'POST', url: `/integrations/jira/sync?mode=${mode}` })
  t.match(await service.runSync('jira', 'full'), { state: 'succeeded' })
  const refused = await request('full')
  t.equal(refused.statusCode, 429)
  t.match(refused.json(), { code: 'too_many_requests' })
  t.ok(Number(refused.headers['retry-after']) > 500)
  t.match(
    await service.runSync('jira', 'incremental'),
    { state: 'succeeded' },
    'changes are copied'
  )
  clock += 11 * MINUTE_MS
  t.match(await service.runSync('jira', 'full'), { state: 'succeeded' })
})
