import fp from 'fastify-plugin'

/** What every answer says: it is personal, it is what it says it is, and it tells the next site nothing. */
export default fp(async (app) => {
  app.addHook('onRequest', async (_request, reply) => {
    reply.header('cache-control', 'no-store')
    reply.header('referrer-policy', 'no-referrer')
    reply.header('x-content-type-options', 'nosniff')
  })
}, { name: 'headers', dependencies: ['logging'] })
