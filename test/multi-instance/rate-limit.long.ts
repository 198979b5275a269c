import t from 'tap'
import { UNLIMITED } from '../helper.ts'
import { database, get, place } from './helper.ts'

const LIMIT = 300
const CALLS = 1_000
const server = await database(t)

t.test(
  `C10 ${CALLS} calls of one address over four instances: as many as the limit are answered, within a tenth, and the others told when to come again`,
  async (t) => {
    const here = await place(t, server, {
      env: { ...UNLIMITED, RATE_LIMIT: String(LIMIT), LOG_LEVEL: 'INFO' }
    })
    const services = await here.several(4)
    let next = 0
    const answers: Array<{ status: number; headers: Headers }> = []
    await Promise.all(
      Array.from({ length: 40 }, async () => {
        while (next < CALLS) {
          answers.push(
            await get(services[next++ % 4]?.url ?? '', '/users', {
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
    t.equal(refused.length + served, CALLS)
    t.ok(refused.every(({ headers }) => Number(headers.get('retry-after')) >= 1))
  }
)

t.test(
  'C10 While the database is away nobody is limited, and nothing hangs: the routes themselves say 503',
  async (t) => {
    const here = await place(t, server, {
      env: {
        ...UNLIMITED,
        RATE_LIMIT: '1000',
        RATE_LIMIT_LOGIN: '1000',
        RATE_LIMIT_REFUSED: '1000'
      }
    })
    const service = await here.serve()
    t.equal((await get(service.url, '/users')).status, 200)
    await server.stop()
    const from = performance.now()
    const answers = await Promise.all(
      [
        ...Array.from({ length: 20 }, () => '/users'),
        ...Array.from({ length: 5 }, () => '/nothing')
      ].map(async (path) => (await get(service.url, path)).status)
    )
    const took = performance.now() - from
    t.same([...new Set(answers)], [503, 404])
    t.comment(`${took.toFixed()} ms`)
    t.ok(took < 10_000)
    t.equal((await get(service.url, '/')).status, 200)
    await server.start()
  }
)
