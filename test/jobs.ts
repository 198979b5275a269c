import type { FastifyInstance } from 'fastify'
import type { IntervalJob } from '../src/lib/interval.ts'
import { createPersonalDataReporter } from '../src/personal-data/reporter.ts'
import { createSyncScheduler } from '../src/sync/scheduler.ts'

/** One job per app, because a job remembers what it has logged and purged. */
function memoizeByApp(
  createJob: (app: FastifyInstance) => IntervalJob
): (app: FastifyInstance) => IntervalJob {
  const jobs = new WeakMap<FastifyInstance, IntervalJob>()
  return (app) => {
    const job = jobs.get(app) ?? createJob(app)
    jobs.set(app, job)
    return job
  }
}

/** The sync scheduler of an app that does not listen and so starts none itself. */
export const getSyncScheduler = memoizeByApp(
  ({ siteContext, syncWorker, connectionPlans: plans, heartbeat: keys, config, log }) =>
    createSyncScheduler({ ...siteContext, keys, log, plans, ...config.sync }, syncWorker)
)

/** The personal data reporter of an app that does not listen and so starts none itself. */
export const getPersonalDataReporter = memoizeByApp(
  ({ siteContext, syncWorker, oauthClients, heartbeat: keys, log }) =>
    createPersonalDataReporter({
      sites: siteContext,
      stopRuns: syncWorker.cancelForOwner,
      clientIds: oauthClients.listIds,
      keys,
      log
    })
)
