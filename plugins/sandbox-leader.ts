import { networkInterfaces } from 'node:os'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { httpAddress } from '../src/http/pagination.ts'
import { createSeat, type Seat } from '../src/seat.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Which of several instances has the sandbox; null where there is none, or nobody to share it with. */
    sandboxSeat: Seat | null
  }
}

/** Several instances in development have one sandbox: codes and tokens of one are good at all. */
export default fp(
  async (app) => {
    const seat =
      app.sandbox === null || !app.store.isShared
        ? null
        : createSeat({ store: app.store, name: 'sandbox', address: () => addressOf(app) })
    app.decorate('sandboxSeat', seat)
    if (seat === null) return
    app.addHook('onListen', async () => {
      seat.start()
    })
    app.addHook('preClose', () => seat.stop())
  },
  { name: 'sandbox-leader', dependencies: ['config', 'sandbox', 'database'] }
)

/** How the other instances reach this one. */
function addressOf(app: FastifyInstance): string | undefined {
  const address = app.server.address()
  if (address === null || typeof address === 'string') return undefined
  const isWildcard = address.address === '0.0.0.0' || address.address === '::'
  const external = Object.values(networkInterfaces())
    .flat()
    .find((each) => each !== undefined && !each.internal && each.family === 'IPv4')?.address
  return httpAddress(isWildcard ? (external ?? '127.0.0.1') : address.address, address.port)
}
