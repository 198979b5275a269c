import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import {
  createClusterFixture,
  getJson,
  startDatabaseServer,
  startLoadBalancer
} from '../multi-instance/helper.ts'
import { VAULT_KEY } from '../helper.ts'
import { createTempFolder, type ServiceProcess } from '../process/child.ts'
import { runAuditVerify } from '../audit/helper.ts'
import { startLoad } from './load.ts'
import { checkOutPreviousVersion } from './previous-version.ts'

const SMALL = { sizes: { projects: 5, issues: 20, spaces: 3, pages: 20 } }
/** What each stage of the upgrade serves at least, before the next one starts. */
const MIN_REQUESTS = 40

t.test(
  'Two instances are upgraded one by one under load: no request fails, no row is lost',
  async (t) => {
    const previous = await checkOutPreviousVersion(createTempFolder(t))
    if (typeof previous === 'string') return t.plan(0, previous)
    t.comment(`from ${previous.commit}`)
    const server = await startDatabaseServer(t)
    const cluster = await createClusterFixture(t, server, {
      sandbox: SMALL,
      env: { API_ACCESS: 'public' }
    })
    const olds = [
      await cluster.startService({}, previous.main),
      await cluster.startService({}, previous.main)
    ] as const
    const { targets, url } = await startLoadBalancer(t, [...olds])
    const load = await startLoad(t, url)
    await load.serve(MIN_REQUESTS)

    const news: ServiceProcess[] = []
    for (const old of olds) {
      const replacement = await cluster.startService()
      news.push(replacement)
      targets.push(replacement)
      await load.serve(MIN_REQUESTS)
      // As a proxy does after a failed readiness check; open requests go on.
      targets.splice(targets.indexOf(old), 1)
      await sleep(50)
      t.equal(await old.stop('SIGTERM'), 0, 'the earlier version ends with 0')
      await load.serve(MIN_REQUESTS)
    }
    const { created, posted, failures } = await load.stop()
    t.same(failures, [])
    t.ok(created > 5 && posted > 5)
    const [{ users }] = (await cluster.query('select count(*) as users from users')) as [any]
    const [{ items }] = (await cluster.query(
      "select count(*) as items from projects where site = ''"
    )) as [any]
    t.equal(users, created, 'every user that was acknowledged is there')
    t.equal(items, posted, 'every item that was acknowledged is there')
    for (const instance of news) {
      t.match(await getJson(instance.url, '/healthz'), { status: 200, body: { status: 'ok' } })
    }
    t.match(await runAuditVerify(cluster.url, VAULT_KEY), { code: 0 })
  }
)
