import fp from 'fastify-plugin'
import { createFairGate, createOpenCounter, type ReadInTurn } from '../src/http/fair-gate.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** What people share in this process: nobody keeps others from theirs. */
    fairShare: {
      /** For searches and for the pieces of long documents. */
      readInTurn: ReadInTurn
      openPoll: (userId: number) => () => void
      openExport: (userId: number) => () => void
    }
  }
}

/** Two, so that a slow read does not stop the others. */
const MAX_RUNNING_READS = 2
const MAX_WAITING_READS = 20
const MAX_POLLS = 20
const MAX_EXPORTS = 2

export default fp(
  async (app) => {
    app.decorate('fairShare', {
      readInTurn: createFairGate({ maxRunning: MAX_RUNNING_READS, maxWaiting: MAX_WAITING_READS }),
      openPoll: createOpenCounter(MAX_POLLS, `A user can wait ${MAX_POLLS} times at once.`),
      openExport: createOpenCounter(MAX_EXPORTS, `A user has ${MAX_EXPORTS} exports at once.`)
    })
  },
  { name: 'fair-share' }
)
