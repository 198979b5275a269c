import type { Test } from 'tap'
import type { Engine } from '../../src/store/engine.ts'
import type { Instance } from '../../src/store/repositories/instances.ts'
import { createGrant, createNewConnection, createTestStore } from './helper.ts'

const createInstance = (id: string, keyIds: string[], currentKeyId = keyIds[0] ?? null) =>
  ({ id, host: 'web', pid: 7, version: '1.2.3', keyIds, currentKeyId }) satisfies Instance

/** Store contract of every engine: instances, and the vault key that they agree on. */
export function defineInstancesContract(t: Test, open: () => Engine | Promise<Engine>): void {
  const openStore = async (t: Test) => await createTestStore(t, open)

  t.test('instances: are live from their heartbeat until they stop or go silent', async (t) => {
    const {
      store: { instances },
      engine
    } = await openStore(t)
    t.same(await instances.listLive(), [])
    await instances.beat(createInstance('a', ['k1']))
    await instances.beat(createInstance('b', ['k1']))
    await instances.beat(createInstance('a', ['k1', 'k2'], 'k2'))
    t.match(await instances.listLive(), [
      { id: 'a', host: 'web', pid: 7, version: '1.2.3', keyIds: ['k1', 'k2'], currentKeyId: 'k2' },
      { id: 'b' }
    ])
    t.match(await instances.listLive('a'), [{ id: 'b' }])
    await instances.remove('b')
    t.match(await instances.listLive('a'), [])
    const { instances: table } = engine.tables
    await engine.write(() => engine.db.update(table).set({ heartbeatAt: engine.nowPlus(-21_000) }))
    t.same(await instances.listLive(), [], 'silent for longer than 20 s')
    await instances.purge()
    t.equal((await engine.db.select().from(table)).length, 1, 'kept, to look at')
    await engine.write(() =>
      engine.db.update(table).set({ heartbeatAt: engine.nowPlus(-25 * 3_600_000) })
    )
    await instances.purge()
    t.equal((await engine.db.select().from(table)).length, 0, 'for a day')
  })

  t.test('keys: a key that a live instance lacks does not become the current one', async (t) => {
    const {
      store: { instances, vaultKeys, users, grants }
    } = await openStore(t)
    for (const id of ['k1', 'k_2']) await vaultKeys.register(id, `proof of ${id}`)
    const current = async () =>
      (await vaultKeys.list())
        .filter(({ promotion }) => promotion !== null)
        .sort((a, b) => Number(b.promotion) - Number(a.promotion))[0]?.id
    t.equal(await vaultKeys.promote('k1', 'order'), true)
    await instances.beat(createInstance('a', ['k_2', 'k1']))
    // An underscore is no wildcard, and an id is compared whole.
    await instances.beat(createInstance('b', ['k1', 'kx2', 'k_22']))
    t.equal(await vaultKeys.promote('k_2', 'order'), false)
    t.equal(await vaultKeys.promote('k_2', 'command'), false)
    t.equal(await current(), 'k1')
    await instances.beat(createInstance('b', ['k1', 'k_2']))
    t.equal(await vaultKeys.promote('k_2', 'order'), true, 'new, and every instance has it')
    t.equal(await current(), 'k_2')
    t.equal(await vaultKeys.promote('k1', 'order'), false, 'the orders differ')
    await instances.beat(createInstance('a', ['k1', 'k_2']))
    t.equal(await vaultKeys.promote('k1', 'order'), true, 'every instance has it first')
    t.equal(await vaultKeys.promote('k_2', 'command'), true)
    t.equal(await current(), 'k_2')
    t.equal(await vaultKeys.promote('unknown', 'command'), false)
    await vaultKeys.register('k3', 'proof of k3')
    for (const id of ['a', 'b']) await instances.beat(createInstance(id, ['k3', 'k1', 'k_2']))
    t.equal(await vaultKeys.promote('k3', 'order'), true, 'nothing is encrypted')
    t.equal(await vaultKeys.promote('k_2', 'command'), true)
    await users.findOrCreate('a@b.co', null)
    await grants.connect(createGrant('g', 'sealed', 'k_2'), createNewConnection())
    await vaultKeys.register('k4', 'proof of k4')
    for (const id of ['a', 'b']) await instances.beat(createInstance(id, ['k4', 'k1', 'k_2']))
    t.equal(await vaultKeys.promote('k4', 'order'), false, 'chosen by command, and in use')
    t.equal(await current(), 'k_2')
  })

  t.test('keys: another key under the id of an unused one takes its place once', async (t) => {
    const {
      store: { instances, vaultKeys }
    } = await openStore(t)
    await vaultKeys.register('k1', 'proof')
    await instances.beat(createInstance('a', ['k1']))
    await vaultKeys.replace('k1', 'proof', 'not while an instance has it')
    t.match(await vaultKeys.list(), [{ id: 'k1', proof: 'proof' }])
    await instances.remove('a')
    await vaultKeys.replace('k1', 'proof', 'other')
    await vaultKeys.replace('k1', 'proof', 'too late')
    t.match(await vaultKeys.list(), [{ id: 'k1', proof: 'other', uses: 1 }])
    t.same(await vaultKeys.listWithUse(), [
      { id: 'k1', promotion: null, promotedBy: null, isUsed: false }
    ])
  })
}
