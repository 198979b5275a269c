import t from 'tap'
import { openEngine } from '../../src/store/engine.ts'
import { startServer } from '../postgres/server.ts'
import { storeContract } from './contract.ts'

const server = await startServer()
t.teardown(() => server.remove())

t.test('PostgreSQL', (t) => {
  storeContract(t, async () => await openEngine(await server.createDatabase(), { connections: 4 }))
  t.end()
})
