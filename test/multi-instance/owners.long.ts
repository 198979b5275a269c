import t, { type Test } from 'tap'
import { finish, many, PRODUCTION, SMALL, success, tokenCalls } from '../auth/helper.ts'
import { build, CLIENTS, configured, decide, type Built } from '../helper.ts'
import { startSandbox } from '../sandbox/helper.ts'
import { chance, seed } from '../fixtures/prng.ts'
import { database } from './helper.ts'

const PEOPLE = 50
const ROUNDS = many(1, 20)
const server = await database(t)

/** Services over one database on the server, as four instances are. */
async function four(t: Test) {
  const sandbox = await startSandbox(t, { ...SMALL, clients: CLIENTS })
  const INTEGRATION_DB_URL = await server.createDatabase()
  const env = {
    ...configured(sandbox.url),
    ...PRODUCTION,
    INTEGRATION_DB_URL,
    DB_POOL_SIZE: '4',
    LOG_LEVEL: 'ERROR'
  }
  const services: Built[] = []
  for (let i = 0; i < 4; i++) services.push(await build(t, env))
  return { sandbox, services, any: (number: number) => services[number % services.length] as Built }
}

t.test(
  `A8 T04 ${PEOPLE} people log in through four instances, ${ROUNDS} times, and their callbacks come back shuffled: each has the account that is theirs`,
  async (t) => {
    const chosen = seed()
    t.comment(`SEED=${chosen}`)
    const random = chance(chosen)
    const pick = () => Math.floor(random() * 4)
    const { sandbox, services, any } = await four(t)
    const people = await Promise.all(
      Array.from(
        { length: PEOPLE },
        async (_, i) =>
          (
            await any(i).app.inject({
              method: 'POST',
              url: '/users',
              payload: { email: `p${i}@example.com` }
            })
          ).json().id as number
      )
    )
    const [dana, sam] = sandbox.world.users.map(({ accountId }) => accountId)
    for (let round = 1; round <= ROUNDS; round++) {
      const callbacks = await Promise.all(
        people.map(async (id) => {
          const { url } = (
            await any(pick()).app.inject(
              `/auth/jira/login?state=${encodeURIComponent(`user_id=${id}`)}`
            )
          ).json()
          return {
            id,
            order: random(),
            callback: await decide(
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
            location: (await finish(any(pick()), callback)).headers.location
          }))
      )
      t.same(
        ended.map(({ location }) => location),
        ended.map(({ id }) => success('jira', id, `user_id=${id}`)),
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
  `A3 ${PEOPLE} callbacks, each sent to two instances at once, are ${PEOPLE} exchanges and pairs of the same success`,
  async (t) => {
    const { sandbox, any } = await four(t)
    await any(0).app.inject({
      method: 'POST',
      url: '/users',
      payload: { email: 'first@example.com' }
    })
    const callbacks = await Promise.all(
      Array.from(
        { length: PEOPLE },
        async (_, i) =>
          await decide((await any(i).app.inject('/auth/jira/login')).json().url as string)
      )
    )
    const answers = await Promise.all(
      callbacks.flatMap((callback, i) => [finish(any(i), callback), finish(any(i + 1), callback)])
    )
    t.same([...new Set(answers.map(({ headers }) => headers.location))], [success('jira')])
    t.equal(await tokenCalls(sandbox), PEOPLE)
  }
)

t.test(
  'D4 Five hundred upserts of one key, and of one address, through four instances: one row each, and nobody is refused',
  async (t) => {
    const { any } = await four(t)
    await any(0).app.inject({
      method: 'POST',
      url: '/users',
      payload: { email: 'first@example.com' }
    })
    for (let wave = 0; wave < 5; wave++) {
      const answers = await Promise.all(
        Array.from({ length: 100 }, async (_, i) => [
          await any(i).app.inject({
            method: 'POST',
            url: '/jira/projects',
            payload: { owner_id: 1, key: 'K', name: `N${i}` }
          }),
          await any(i).app.inject({
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
    t.equal((await any(1).app.inject('/jira/projects/1')).json().length, 1)
  }
)
