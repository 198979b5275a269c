import cookie from '@fastify/cookie'
import fp from 'fastify-plugin'

/** Cookies bind a login to the browser that started it. */
export default fp(
  async (app) => {
    await app.register(cookie)
  },
  { name: 'cookies' }
)
