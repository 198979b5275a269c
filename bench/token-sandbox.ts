import type { AddressInfo } from 'node:net'
import { buildSandbox } from '../src/sandbox/server.ts'
import { DEMO_CLIENT } from '../src/sandbox/oauth/clients.ts'
import { DANA } from '../src/sandbox/oauth/users.ts'

/**
 * A sandbox in a process of its own, with as many users as the first argument says. Sends its port, and exits
 * with the process that started it.
 */
const users = Array.from({ length: Number(process.argv[2]) }, (_, i) => ({
  ...DANA,
  accountId: `712020:person-${i}`,
  nickname: `person${i}`
}))
const app = buildSandbox({
  users,
  clients: [{ ...DEMO_CLIENT, access: 'resource' }],
  sizes: { projects: 1, issues: 1, spaces: 1, pages: 1 },
  burst: 1_000_000,
  hourlyPoints: 1_000_000_000
})
process.once('disconnect', () => {
  app.close().then(
    () => process.exit(),
    () => process.exit(1)
  )
})
await app.listen({ host: '127.0.0.1', port: 0 })
process.send?.({ port: (app.server.address() as AddressInfo).port })
