import t from 'tap'
import { DANA } from '../../src/sandbox/oauth/users.ts'
import { many } from '../auth/helper.ts'
import { Browser, synced } from '../helper.ts'
import { ACME } from '../sandbox/helper.ts'
import {
  HOUR_MS,
  MINUTE_MS,
  place,
  productOf,
  PRODUCTS,
  run,
  start,
  until,
  type Place
} from './time-helper.ts'
import { copied, truth } from './expected-state.ts'

const SIZES = { projects: 2, issues: 20, spaces: 2, pages: 20 }
const TITLES = { issues: 'summary', pages: 'title' } as const
const ITEMS = ['issues', 'pages'] as const
const KINDS = {
  issues: /(search\/jql|approximate-count|issue\/bulkfetch|\/issue\/\d+)$/,
  pages: /(\/rest\/api\/search|\/v2\/pages(\/\d+)?)$/,
  projects: /\/project\//,
  spaces: /\/v2\/spaces/
}
const NOON = Date.UTC(2026, 10, 25, 12)

/** Asks with the service's own token, so its clock has to be right by then. */
async function isSame({ app, sandbox, stray }: Place, what: string): Promise<void> {
  stray(0)
  t.same(await copied(app, 1), await truth(app, sandbox, 1, ACME), what)
}
const edit = async (
  { sandbox: { admin } }: Place,
  items: (typeof ITEMS)[number],
  id = '',
  text = ''
) => await admin(`${items}/${id}`, { [TITLES[items]]: text })

/** How often Atlassian is called for each kind of thing by a copy of both products of what has changed. */
async function follow(here: Place): Promise<Record<string, number>> {
  const log = await here.asked(async () => {
    for (const product of PRODUCTS) {
      t.match(await here.copy(product, 'incremental'), { state: 'succeeded' })
    }
  })
  return Object.fromEntries(
    Object.entries(KINDS).map(([name, path]) => [
      name,
      log.filter((call) => path.test(call.path)).length
    ])
  )
}

/** Positions of items. Search is late by a time of its own with each, and it is longest with the first two and shortest with the next two. */
const OUT_OF_TURN = [18, 13, 1, 7, 15, 8]

interface Setting {
  zone: string
  aheadMin?: number
  lagS?: number
  at?: number
}

/** East of Greenwich the sign of such a zone is a minus. */
const offsets: Setting[] = Array.from({ length: 27 }, (_, i) => i - 12).map((hours) => ({
  zone: `Etc/GMT${hours > 0 ? '-' : '+'}${Math.abs(hours)}`,
  lagS: 180
}))
const SETTINGS: Setting[] = [
  { zone: 'Etc/GMT+12', aheadMin: -10, lagS: 180 },
  // The hour that comes twice.
  { zone: 'Europe/Riga', aheadMin: 2, lagS: 180, at: Date.UTC(2026, 9, 25, 0, 56) },
  { zone: 'Pacific/Kiritimati', aheadMin: -60, lagS: 600 },
  ...(many(0, 1) === 0
    ? []
    : [
        // And the one that never comes.
        { zone: 'Europe/Riga', aheadMin: -2, at: Date.UTC(2026, 2, 29, 0, 56) },
        { zone: 'Pacific/Kiritimati', aheadMin: 10, lagS: 180 },
        ...offsets
      ])
]

for (const { zone, aheadMin = 0, lagS = 0, at = NOON } of SETTINGS) {
  const title = `With an account in ${zone}, a clock that is off by ${aheadMin} minutes, and a search that is ${lagS} seconds late, nothing is lost and nothing doubled (${new Date(at).toISOString()})`
  t.test(title, async (t) => {
    const here = await place(t, {
      at: at + 5_000,
      sandbox: { sizes: SIZES, users: [{ ...DANA, timeZone: zone }], indexLagMs: lagS * 1_000 }
    })
    const [site] = here.sandbox.world.sites
    here.stray(aheadMin * MINUTE_MS)
    const log = await here.asked(async () => {
      // All in one minute, with copies in between.
      for (const text of ['First', 'Second', 'Third']) {
        for (const items of ITEMS) {
          for (const i of [3, text.length]) {
            await edit(here, items, site?.[items].at(i)?.id, `${text} ${i}`)
          }
        }
        await follow(here)
      }
      await here.sandbox.admin('issues', {
        project: site?.projects.at(0)?.id ?? '',
        summary: 'New'
      })
      await here.sandbox.admin('pages', { space_id: site?.spaces.at(0)?.id ?? '', title: 'New' })
      for (let step = 0; step < 26; step++) {
        const item = step % 2 === 0 ? OUT_OF_TURN[step / 2] : undefined
        if (item !== undefined) {
          for (const items of ITEMS) await edit(here, items, site?.[items].at(item)?.id, 'Later')
        }
        here.pass(Math.max(10, lagS / 12) * 1_000)
        await follow(here)
      }
    })
    t.notOk(
      log.some(({ path }) => path.endsWith('approximate-count')),
      'nothing was listed in full'
    )
    await isSame(here, 'the lists are what Atlassian shows')
    t.same(
      await follow(here),
      { issues: 1, pages: 1, projects: 1, spaces: 1 },
      'what a copy costs when nothing has changed'
    )
  })
}

t.test(
  'A copy in which nothing has changed takes three calls at most, also after hundreds of changes within a minute',
  async (t) => {
    const here = await place(t, {
      at: NOON + 5_000,
      sandbox: { sizes: { projects: 2, issues: 300, spaces: 2, pages: 500 } }
    })
    const [site] = here.sandbox.world.sites
    for (let i = 0; i < 250; i++) {
      site?.issues.change(i, { summary: `All at once ${i}` })
      // Search never shows what is archived.
      if (site?.pages.at(i)?.status === 'current') {
        site.pages.change(i, { title: `All at once ${i}` })
      }
    }
    const first = await follow(here)
    t.ok(Number(first.issues) > 3, 'they are read')
    await isSame(here, 'all of them')
    for (const minutes of [0, 1, 16]) {
      here.pass(minutes * MINUTE_MS)
      t.same(
        await follow(here),
        { issues: 3, pages: 1, projects: 1, spaces: 1 },
        `${minutes} minutes later`
      )
    }
  }
)

t.test(
  'What changes while the first listing is under way, behind its back, is there after the next copy of what has changed',
  async (t) => {
    const here = await place(t, {
      products: [],
      sandbox: { sizes: { projects: 1, issues: 150, spaces: 1, pages: 300 } }
    })
    const [site] = here.sandbox.world.sites
    for (const product of PRODUCTS) {
      const [items, path, page] =
        product === 'jira'
          ? (['issues', '/issue/bulkfetch', 100] as const)
          : (['pages', '/v2/pages', 250] as const)
      const [listed, last] = [site?.[items].at(1)?.id, site?.[items].at(page + 2)?.id]
      await here.sandbox.admin('faults', { kind: 'delay', delay_ms: 300, match: { path }, skip: 1 })
      await new Browser(here.app).connect(product)
      const [{ id }] = (await here.app.inject(`/integrations/${product}/sync/runs`)).json()
      await until(async () => (await run(here, product, id)).counts.seen > page)
      await edit(here, items, listed, 'Behind its back')
      // What is still to come is much newer: the newest change that is seen is not the one that was missed.
      here.pass(30 * MINUTE_MS)
      await edit(here, items, last, 'Before its eyes')
      t.match(await synced(here.app, product, id), { state: 'succeeded' })
      t.not(
        (await here.item(items, listed ?? ''))?.[TITLES[items]],
        'Behind its back',
        'it could not be seen'
      )
      t.match(await here.item(items, last ?? ''), { [TITLES[items]]: 'Before its eyes' })
      t.match(await here.copy(product, 'incremental'), {
        state: 'succeeded',
        counts: { changed: 1 }
      })
    }
    await isSame(here, 'everything is there')
  }
)

t.test(
  'A search that stands still for an hour and a half, while copies go on, loses nothing',
  async (t) => {
    const here = await place(t, { sandbox: { sizes: SIZES } })
    for (const items of ITEMS) await edit(here, items, (await here.names(items))[1], 'Seen at once')
    await follow(here)
    await here.sandbox.admin('lag', { ms: 90 * MINUTE_MS })
    for (const items of ITEMS) await edit(here, items, (await here.names(items))[2], 'Seen late')
    for (let i = 0; i < 4; i++) {
      here.pass(25 * MINUTE_MS)
      await follow(here)
    }
    await isSame(here, 'everything is there')
  }
)

t.test(
  'After a clock was set back by an hour, a full copy reads everything all the same',
  async (t) => {
    const here = await place(t, { sandbox: { sizes: SIZES } })
    here.stray(-HOUR_MS)
    for (const product of PRODUCTS) {
      for (let i = 0; i < 2; i++) {
        t.match(
          await here.copy(product),
          { state: 'succeeded', counts: { seen: 22, unchanged: 22 } },
          product
        )
      }
    }
  }
)

t.test(
  'A run that was parked and goes on under a clock that is an hour behind misses nothing',
  async (t) => {
    const here = await place(t, { sandbox: { sizes: SIZES } })
    here.stray(-HOUR_MS)
    for (const items of ITEMS) {
      const product = productOf(items)
      const [before, first, second] = await here.names(items)
      await edit(here, items, before, 'Before')
      await follow(here)
      here.pass(20 * MINUTE_MS)
      await edit(here, items, first, 'First')
      await here.sandbox.admin('faults', {
        kind: 'status',
        status: 429,
        headers: { 'retry-after': '60' },
        match: { path: product === 'jira' ? '/search/jql' : '/rest/api/search' }
      })
      const id = await start(here.app, product, 'incremental')
      await until(async () => (await run(here, product, id)).state === 'parked')
      here.pass(20 * MINUTE_MS)
      await edit(here, items, second, 'Second')
      await here.app.schedule.once()
      t.match(await synced(here.app, product, id), { state: 'succeeded', counts: { changed: 2 } })
    }
    await isSame(here, 'everything is there')
  }
)
