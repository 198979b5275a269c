import { networkInterfaces } from 'node:os'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { buildHttpUrl } from '../src/http/pagination.ts'
import { createSeat, type Seat } from '../src/seat.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Which of several instances has the sandbox; null where there is none, or nobody to share it with. */
    sandboxLeader: Seat | null
  }
}

/** Several instances in development have one sandbox: codes and tokens of one are good at all. */
export default fp(
  async (app) => {
    const leaderElection =
      app.sandbox === null || !app.store.isShared
        ? null
        : createSeat({ store: app.store, name: 'sandbox', address: () => getExternalUrl(app) })
    app.decorate('sandboxLeader', leaderElection)
    if (leaderElection === null) return
    app.addHook('onListen', async () => {
      leaderElection.start()
    })
    app.addHook('preClose', () => leaderElection.stop())
  },
  { name: 'sandbox-leader', dependencies: ['config', 'sandbox', 'database'] }
)

/** How the other instances reach this one. */
function getExternalUrl(app: FastifyInstance): string | undefined {
  const address = app.server.address()
  if (address === null || typeof address === 'string') return undefined
  const isWildcard = address.address === '0.0.0.0' || address.address === '::'
  const external = Object.values(networkInterfaces())
    .flat()
    .find((each) => each !== undefined && !each.internal && each.family === 'IPv4')?.address
  return buildHttpUrl(isWildcard ? (external ?? '127.0.0.1') : address.address, address.port)
}
