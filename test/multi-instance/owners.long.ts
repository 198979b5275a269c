import t, { type Test } from 'tap'
import {
  openCallback,
  pickByScale,
  PRODUCTION_ENV,
  SMALL_SANDBOX,
  buildSuccessUrl,
  countTokenCalls
} from '../auth/helper.ts'
import {
  buildTestApp,
  OAUTH_CLIENTS,
  buildSandboxEnv,
  answerConsentPage,
  type TestApp
} from '../helper.ts'
import { startSandbox } from '../sandbox/helper.ts'
import { createRandom, chooseSeed } from '../fixtures/prng.ts'
import { startDatabaseServer } from './helper.ts'

const PEOPLE_COUNT = 50
const ROUND_COUNT = pickByScale(1, 20)
const server = await startDatabaseServer(t)

/** Four services over one PostgreSQL database, like four instances. */
async function startFourServices(t: Test) {
  const sandbox = await startSandbox(t, { ...SMALL_SANDBOX, clients: OAUTH_CLIENTS })
  const INTEGRATION_DB_URL = await server.createDatabase()
  const env = {
    ...buildSandboxEnv(sandbox.url),
    ...PRODUCTION_ENV,
    INTEGRATION_DB_URL,
    DB_POOL_SIZE: '4',
    LOG_LEVEL: 'ERROR'
  }
  const services: TestApp[] = []
  for (let i = 0; i < 4; i++) services.push(await buildTestApp(t, env))
  return {
    sandbox,
    services,
    getService: (number: number) => services[number % services.length] as TestApp
  }
}

t.test(
  `A8 T04 Connects ${PEOPLE_COUNT} users to their own accounts through four instances, ${ROUND_COUNT} times`,
  async (t) => {
    const chosen = chooseSeed()
    t.comment(`SEED=${chosen}`)
    const random = createRandom(chosen)
    const pick = () => Math.floor(random() * 4)
    const { sandbox, services, getService } = await startFourServices(t)
    const people = await Promise.all(
      Array.from(
        { length: PEOPLE_COUNT },
        async (_, i) =>
          (
            await getService(i).app.inject({
              method: 'POST',
              url: '/users',
              payload: { email: `p${i}@example.com` }
            })
          ).json().id as number
      )
    )
    const [dana, sam] = sandbox.state.users.map(({ accountId }) => accountId)
    for (let round = 1; round <= ROUND_COUNT; round++) {
      const callbacks = await Promise.all(
        people.map(async (id) => {
          const { url } = (
            await getService(pick()).app.inject(
              `/auth/jira/login?state=${encodeURIComponent(`user_id=${id}`)}`
            )
          ).json()
          return {
            id,
            order: random(),
            callback: await answerConsentPage(
              url as string,
              'accept',
              `&sandbox_account=${id % 2 === 0 ? 'dana' : 'sam'}`
            )
          }
        })
      )
      const ended = await Promise.all(
        callbacks
          .sort((a, b) => a.order - b.order)
          .map(async ({ id, callback }) => ({
            id,
            location: (await openCallback(getService(pick()), callback)).headers.location
          }))
      )
      t.same(
        ended.map(({ location }) => location),
        ended.map(({ id }) => buildSuccessUrl('jira', id, `user_id=${id}`)),
        `round ${round}`
      )
      const owners = await Promise.all(
        people.map(
          async (id) => (await services[0]?.app.store.connections.get(id, 'jira'))?.grant.accountId
        )
      )
      t.same(
        owners,
        people.map((id) => (id % 2 === 0 ? dana : sam)),
        `round ${round}`
      )
    }
  }
)

t.test(
  `A3 Exchanges ${PEOPLE_COUNT} codes once each when two instances get each callback; both callbacks succeed`,
  async (t) => {
    const { sandbox, getService } = await startFourServices(t)
    await getService(0).app.inject({
      method: 'POST',
      url: '/users',
      payload: { email: 'first@example.com' }
    })
    const callbacks = await Promise.all(
      Array.from(
        { length: PEOPLE_COUNT },
        async (_, i) =>
          await answerConsentPage(
            (await getService(i).app.inject('/auth/jira/login')).json().url as string
          )
      )
    )
    const answers = await Promise.all(
      callbacks.flatMap((callback, i) => [
        openCallback(getService(i), callback),
        openCallback(getService(i + 1), callback)
      ])
    )
    t.same([...new Set(answers.map(({ headers }) => headers.location))], [buildSuccessUrl('jira')])
    t.equal(await countTokenCalls(sandbox), PEOPLE_COUNT)
  }
)

t.test(
  'D4 Five hundred upserts of one key and one email through four instances make one row each',
  async (t) => {
    const { getService } = await startFourServices(t)
    await getService(0).app.inject({
      method: 'POST',
      url: '/users',
      payload: { email: 'first@example.com' }
    })
    for (let wave = 0; wave < 5; wave++) {
      const answers = await Promise.all(
        Array.from({ length: 100 }, async (_, i) => [
          await getService(i).app.inject({
            method: 'POST',
            url: '/jira/projects',
            payload: { owner_id: 1, key: 'K', name: `N${i}` }
          }),
          await getService(i).app.inject({
            method: 'POST',
            url: '/users',
            payload: { email: `wave${wave}@example.com` }
          })
        ])
      )
      t.same(
        [...new Set(answers.flat().map(({ statusCode }) => statusCode))].filter(
          (status) => status >= 300
        ),
        []
      )
      t.equal(new Set(answers.map(([, user]) => user?.json().id as number)).size, 1)
    }
    t.equal((await getService(1).app.inject('/jira/projects/1')).json().length, 1)
  }
)
