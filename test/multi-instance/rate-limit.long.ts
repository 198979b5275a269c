import t from 'tap'
import { NO_RATE_LIMITS } from '../helper.ts'
import { startDatabaseServer, getJson, createClusterFixture } from './helper.ts'

const LIMIT = 300
const CALL_COUNT = 1_000
const server = await startDatabaseServer(t)

t.test(
  `C10 Four instances answer as many of ${CALL_COUNT} calls from one address as the limit allows (± 10 %)`,
  async (t) => {
    const fixture = await createClusterFixture(t, server, {
      env: { ...NO_RATE_LIMITS, RATE_LIMIT: String(LIMIT), LOG_LEVEL: 'INFO' }
    })
    const services = await fixture.startServices(4)
    let next = 0
    const answers: Array<{ status: number; headers: Headers }> = []
    await Promise.all(
      Array.from({ length: 40 }, async () => {
        while (next < CALL_COUNT) {
          answers.push(
            await getJson(services[next++ % 4]?.url ?? '', '/users', {
              headers: { 'x-forwarded-for': `192.0.2.${next % 250}` }
            })
          )
        }
      })
    )
    const served = answers.filter(({ status }) => status === 200).length
    t.comment(`${served} of ${answers.length} were answered`)
    t.ok(Math.abs(served - LIMIT) <= LIMIT / 10)
    const refused = answers.filter(({ status }) => status === 429)
    t.equal(refused.length + served, CALL_COUNT)
    t.ok(refused.every(({ headers }) => Number(headers.get('retry-after')) >= 1))
  }
)

t.test(
  'C10 Limits nothing during a database outage; the routes return 503 without delay',
  async (t) => {
    const fixture = await createClusterFixture(t, server, {
      env: {
        ...NO_RATE_LIMITS,
        RATE_LIMIT: '1000',
        RATE_LIMIT_LOGIN: '1000',
        RATE_LIMIT_REFUSED: '1000'
      }
    })
    const service = await fixture.startService()
    t.equal((await getJson(service.url, '/users')).status, 200)
    await server.stop()
    const from = performance.now()
    const answers = await Promise.all(
      [
        ...Array.from({ length: 20 }, () => '/users'),
        ...Array.from({ length: 5 }, () => '/nothing')
      ].map(async (path) => (await getJson(service.url, path)).status)
    )
    const took = performance.now() - from
    t.same([...new Set(answers)], [503, 404])
    t.comment(`${took.toFixed()} ms`)
    t.ok(took < 10_000)
    t.equal((await getJson(service.url, '/')).status, 200)
    await server.start()
  }
)
