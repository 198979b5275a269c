import Driver from 'better-sqlite3'
import pg from 'pg'
import type { Test } from 'tap'
import { runAsActor, getCurrentActor } from '../../src/lib/actor.ts'
import { AppError } from '../../src/lib/errors.ts'
import { verifyAuditChain } from '../../src/store/audit-verify.ts'
import type { Engine, SharedChain, Statement } from '../../src/store/engine.ts'
import { createStore, type Store } from '../../src/store/index.ts'
import { TEST_SIGNER } from '../signatures.ts'
import { createFlow, createProject, createTestStore, START_MS } from './helper.ts'

const UNIT_COUNT = 20
const FLOW_END = new Date(START_MS + 60_000)
const raw = (sql: string): Statement => ({ toSQL: () => ({ sql, params: [] }) })

/** Counts the commits that the driver is asked for while `action` runs. */
async function countCommits(action: () => Promise<unknown>): Promise<number> {
  let count = 0
  const statement = Object.getPrototypeOf(new Driver(':memory:').prepare('select 1'))
  const spy = (original: (...args: any[]) => unknown, getText: (self: any, arg: any) => unknown) =>
    function (this: unknown, ...args: unknown[]) {
      if (/^\s*commit/i.test(String(getText(this, args[0])))) count++
      return original.apply(this, args)
    }
  const { run } = statement
  const { exec } = Driver.prototype
  const { query } = pg.Client.prototype as any
  statement.run = spy(run, ({ source }) => source)
  Driver.prototype.exec = spy(exec, (_self, text) => text) as typeof exec
  Object.assign(pg.Client.prototype, { query: spy(query, (_self, arg) => arg?.text ?? arg) })
  try {
    await action()
  } finally {
    statement.run = run
    Driver.prototype.exec = exec
    Object.assign(pg.Client.prototype, { query })
  }
  return count
}

/** A statement whose error undoes the whole transaction it runs in. */
function breakTransaction(engine: Engine): Statement {
  if (engine.isShared) return raw('select pg_terminate_backend(pg_backend_pid())')
  const { $client: client } = engine.db as unknown as { $client: Driver.Database }
  client.exec(
    'create temp table breaking (id integer); create temp trigger breaks before insert on breaking ' +
      "begin select raise(rollback, 'everything is undone'); end"
  )
  return raw('insert into breaking values (1)')
}

const findUsers = async ({ users }: Store, names: readonly string[]) =>
  (await Promise.all(names.map(async (name) => await users.find(`${name}@b.co`)))).map(
    (user) => user !== undefined
  )

/** A transaction that creates a user, records it, and then runs `end`. */
async function createUserAnd(
  { engine, store }: { engine: Engine; store: Store },
  name: string,
  end: () => Statement | undefined
): Promise<number> {
  const { users } = engine.tables
  return await store.audit.runAudited(function* (tx, record) {
    const [row] = yield tx
      .insert(users)
      .values({
        email: `${name}@b.co`,
        emailKey: `${name}@b.co`,
        displayName: null,
        createdAt: new Date(START_MS)
      })
      .returning({ id: users.id })
    record({ action: 'user_created', userId: Number(row?.id), detail: { name } })
    const statement = end()
    if (statement !== undefined) yield statement
    return Number(row?.id)
  })
}

const refuse = (): never => {
  throw new AppError('user_not_found', 'Refused.')
}

/** Store contract of every engine: transactions that share a commit. */
export function defineCommitsContract(t: Test, open: () => Engine | Promise<Engine>): void {
  t.test('D2 commits: audited writes that wait at the same time share one', async (t) => {
    const { store } = await createTestStore(t, open)
    const count = await countCommits(
      async () =>
        await Promise.all(
          Array.from({ length: UNIT_COUNT }, async (_, i) => {
            await store.users.findOrCreate(`u${i}@b.co`, null)
          })
        )
    )
    t.ok(count >= 1 && count <= UNIT_COUNT / 2, `${count} commits for ${UNIT_COUNT} users`)
    t.match(await verifyAuditChain(store.audit, TEST_SIGNER), { rows: UNIT_COUNT })
  })

  t.test('D2 commits: on the embedded engine, every kind of write shares them', async (t) => {
    const { engine, store } = await createTestStore(t, open)
    if (engine.isShared) return t.pass('PostgreSQL takes several connections')
    await store.users.findOrCreate('a@b.co', null)
    const { users } = engine.tables
    const count = await countCommits(
      async () =>
        await Promise.all([
          engine.write(() => engine.db.update(users).set({ displayName: 'A' }).returning()),
          engine.batch((tx) => [tx.update(users).set({ displayName: 'B' })]),
          store.items('projects').save(1, 'K', createProject('K')),
          store.loginFlows.start(createFlow('s', FLOW_END), 100),
          store.audit.append({ action: 'data_exported', userId: 1 })
        ])
    )
    // A machine that pauses in the middle cuts the batch.
    t.ok(count <= 2, `${count} commits for 5 writes`)
    t.match(await store.users.get(1), { displayName: 'B' }, 'in the order of the calls')
    t.equal(await countCommits(async () => await store.users.findOrCreate('b@b.co', null)), 1)

    const ends: number[] = []
    const spin = async () => {
      await engine.transaction(function* () {
        for (const until = performance.now() + 3; performance.now() < until;);
        yield raw('update users set display_name = display_name')
      })
      ends.push(performance.now())
    }
    const long = await countCommits(async () => await Promise.all(Array.from({ length: 12 }, spin)))
    t.ok(long >= 4, `${long} commits for 36 ms of work: other work is not held up`)
    t.same(
      ends,
      ends.toSorted((a, b) => a - b)
    )
  })

  t.test('D2 commits: a transaction that fails leaves its neighbours alone', async (t) => {
    const context = await createTestStore(t, open)
    const { store } = context
    await store.users.findOrCreate('first@b.co', null)
    const projects = store.items('projects')
    const outcomes = await Promise.allSettled([
      createUserAnd(context, 'a', () => undefined),
      projects.save(1, 'K1', createProject('K1')),
      createUserAnd(context, 'b', refuse),
      projects.save(99, 'K2', createProject('K2')),
      createUserAnd(context, 'c', () => raw('insert into no_such_table values (1)')),
      store.loginFlows.start(createFlow('s', FLOW_END), 100),
      createUserAnd(context, 'd', () => undefined)
    ])
    t.same(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'fulfilled', 'rejected', 'rejected', 'rejected', 'fulfilled', 'fulfilled']
    )
    t.match(outcomes[2], { reason: { code: 'user_not_found', message: 'Refused.' } })
    t.match(outcomes[3], { reason: { code: 'user_not_found' } })
    t.match(String((outcomes[4] as PromiseRejectedResult).reason), /no_such_table/)
    t.same(await findUsers(store, ['a', 'b', 'c', 'd']), [true, false, false, true])
    t.same(
      (await projects.list(1, 10)).map(({ key }) => key),
      ['K1']
    )
    t.ok(await store.loginFlows.get('s'))
    t.match(
      (await store.audit.list({}, 10)).map(({ seq, detail }) => [seq, detail]),
      [
        [3, '{"name":"d"}'],
        [2, '{"name":"a"}'],
        [1, null]
      ],
      'rows of failed transactions leave no gap'
    )
    t.match(await verifyAuditChain(store.audit, TEST_SIGNER), { rows: 3 })
  })

  t.test('D2 commits: what a transaction that fails put into the chain is undone', async (t) => {
    const { engine } = await createTestStore(t, open)
    const closedWith: number[] = []
    const chain: SharedChain<number> = {
      lockTable: 'audit_head',
      *open() {
        yield raw('select 1')
        return 0
      },
      close(state) {
        closedWith.push(state)
        return []
      }
    }
    const outcomes = await Promise.allSettled(
      Array.from(
        { length: UNIT_COUNT },
        async (_, i) =>
          await engine.chainedTransaction(chain, function* (_tx, link) {
            yield raw('select 1')
            link.state++
            if (i % 2 === 1) refuse()
          })
      )
    )
    const isDone = ({ status }: { status: string }) => status === 'fulfilled'
    t.equal(outcomes.filter(isDone).length, UNIT_COUNT / 2)
    t.equal(
      closedWith.reduce((sum, state) => sum + state, 0),
      UNIT_COUNT / 2
    )
  })

  t.test('D2 commits: an error that undoes everything fails every transaction', async (t) => {
    const context = await createTestStore(t, open)
    const { engine, store } = context
    await store.users.findOrCreate('first@b.co', null)
    const statement = breakTransaction(engine)
    const outcomes = await Promise.allSettled([
      createUserAnd(context, 'a', () => undefined),
      createUserAnd(context, 'b', refuse),
      createUserAnd(context, 'c', () => statement),
      createUserAnd(context, 'd', () => undefined)
    ])
    const areStored = outcomes.map(({ status }) => status === 'fulfilled')
    t.same(areStored.slice(1, 3), [false, false])
    t.match(outcomes[1], { reason: { message: 'Refused.' } }, 'with its own error')
    await t.resolves(store.users.findOrCreate('e@b.co', null), 'the next one is stored')
    // A machine that pauses in the middle cuts the batch: one that was answered is stored then.
    t.same(await findUsers(store, ['a', 'b', 'c', 'd', 'e']), [...areStored, true])
    const rows = 2 + areStored.filter(Boolean).length
    t.match(await verifyAuditChain(store.audit, TEST_SIGNER), { rows })
  })

  t.test('D2 commits: others see what was written when it is answered', async (t) => {
    const { engine, store } = await createTestStore(t, open)
    const { name = ':memory:' } = (engine.db as unknown as { $client: { name?: string } }).$client
    const other = /^\//.test(name) ? new Driver(name, { readonly: true }) : undefined
    t.teardown(() => other?.close())
    const isSeen = async (id: number) =>
      other === undefined
        ? (await store.users.get(id)) !== undefined
        : other.prepare('select 1 from users where id = ?').get(id) !== undefined
    const seen = await Promise.all(
      Array.from({ length: UNIT_COUNT }, async (_, i) => {
        const { user } = await store.users.findOrCreate(`u${i}@b.co`, null)
        return await isSeen(user.id)
      })
    )
    t.same(new Set(seen), new Set([true]))
  })

  t.test('B12 commits: each of them is attributed to its own actor', async (t) => {
    const { engine } = await createTestStore(t, open)
    const store = createStore(engine, () => START_MS, TEST_SIGNER, getCurrentActor)
    const audited = new Map<number, number>()
    await Promise.all(
      Array.from({ length: UNIT_COUNT }, async (_, i) => {
        const onAudited = (count: number) => audited.set(i, count)
        await runAsActor({ kind: 'key', id: i, onAudited }, async () => {
          await store.audit.append({ action: 'data_exported', userId: i })
        })
      })
    )
    const rows = await store.audit.list({}, 100)
    t.same(new Set(rows.map(({ actorId, userId }) => actorId === userId)), new Set([true]))
    t.same(new Set(audited.values()).size, UNIT_COUNT, 'and told the number of its entry')
    t.ok(rows.every(({ seq, actorId }) => audited.get(actorId as number) === seq))
  })

  t.test('T18 commits: the trail is intact after appends, failures and purges', async (t) => {
    const context = await createTestStore(t, open)
    const { engine, store } = context
    // Two stores on one engine, as two processes have.
    const second = createStore(engine, () => START_MS, TEST_SIGNER)
    const outcomes = await Promise.allSettled([
      ...Array.from({ length: 60 }, async (_, i) => {
        const by = { engine, store: i % 4 === 0 ? second : store }
        return await createUserAnd(by, `u${i}`, i % 3 === 0 ? refuse : () => undefined)
      }),
      store.audit.purge(new Date(START_MS + 1)),
      ...Array.from({ length: 10 }, async () => {
        await second.audit.append({ action: 'data_exported' })
      })
    ])
    t.equal(outcomes.filter(({ status }) => status === 'rejected').length, 20)
    await store.audit.purge(new Date(START_MS + 1))
    await Promise.all([
      store.audit.append({ action: 'data_exported' }),
      store.audit.purge(new Date(START_MS + 1)),
      store.audit.append({ action: 'data_exported' })
    ])
    t.notMatch(await verifyAuditChain(store.audit, TEST_SIGNER), { problem: String })
    const rows = await store.audit.list({}, 200)
    t.notOk(rows.some(({ action }) => action === 'audit_damaged'))
    t.ok((rows[0]?.seq ?? 0) >= 40 + 10 + 3, 'every append has a row')
  })

  t.test('D2 commits: closing waits for those that were asked for', async (t) => {
    const engine = await open()
    const store = createStore(engine, () => START_MS, TEST_SIGNER)
    const made = Promise.allSettled(
      Array.from({ length: UNIT_COUNT }, async (_, i) => {
        const user = createUserAnd({ engine, store }, `u${i}`, () => undefined)
        return await user
      })
    )
    await engine.close()
    t.same(new Set((await made).map(({ status }) => status)), new Set(['fulfilled']))
  })

  t.test('T34 commits: many logins of one caller at once do not block each other', async (t) => {
    const { store } = await createTestStore(t, open)
    const [maxOpen, names] = [100, Array.from({ length: 400 }, (_, i) => `s${i}`)]
    const start = async (stateHash: string) => {
      await store.loginFlows.start(createFlow(stateHash, FLOW_END), maxOpen)
    }
    t.same(
      (await Promise.allSettled(names.map(start))).filter(({ status }) => status === 'rejected'),
      []
    )
    const later = Array.from({ length: 10 }, (_, i) => `t${i}`)
    for (const name of later) await start(name)
    const kept = await Promise.all(
      [...names, ...later].map(async (name) => await store.loginFlows.get(name))
    )
    const count = kept.filter((flow) => flow !== undefined).length
    t.ok(count > maxOpen * 0.9 && count <= maxOpen, `${count} are kept`)
  })
}
