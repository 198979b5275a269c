import { MINUTE_MS } from '../time.ts'
import { runSyncs, setAnswers, type RandomHistory } from './random-history.ts'

/** Performs one random action, at Atlassian or in the service. @returns its description */
export async function performRandomAction(life: RandomHistory): Promise<string> {
  const { service, mirror, random } = life
  const {
    sandbox: { admin, state },
    advanceTime
  } = service
  const [site] = state.sites
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
  const any = (name: 'projects' | 'issues' | 'spaces' | 'pages'): string =>
    site?.[name].at(Math.floor(random() * site[name].end()))?.id ?? ''
  const things: Array<[name: string, weight: number, happen: () => Promise<unknown>]> = [
    [
      'a page is created',
      3,
      async () => await admin('pages', { space_id: any('spaces'), title: `New ${random()}` })
    ],
    [
      'a page is renamed',
      3,
      async () => await admin(`pages/${any('pages')}`, { title: `Renamed ${random()}` })
    ],
    [
      'a page is moved',
      2,
      async () => await admin(`pages/${any('pages')}`, { space_id: any('spaces') })
    ],
    [
      'a page changes its status',
      4,
      async () =>
        await admin(`pages/${any('pages')}`, {
          status: pick(['current', 'archived', 'trashed', 'deleted'])
        })
    ],
    [
      'an issue is created',
      3,
      async () => await admin('issues', { project: any('projects'), summary: `New ${random()}` })
    ],
    [
      'an issue is edited',
      3,
      async () =>
        await admin(`issues/${any('issues')}`, {
          summary: `Edited ${random()}`,
          status: pick(['To Do', 'In Progress', 'Done'])
        })
    ],
    [
      'an issue is moved',
      2,
      async () => await admin(`issues/${any('issues')}`, { project: any('projects') })
    ],
    [
      'an issue is deleted or restored',
      3,
      async () => await admin(`issues/${any('issues')}`, { deleted: random() < 0.6 })
    ],
    [
      'a project is renamed',
      1,
      async () =>
        await admin(`projects/${any('projects')}`, {
          name: `Project ${random()}`,
          ...(random() < 0.5 ? { key: `K${Math.floor(random() * 1e6)}` } : {})
        })
    ],
    [
      'a project is archived or restored',
      1,
      async () => await admin(`projects/${any('projects')}`, { archived: random() < 0.4 })
    ],
    [
      'a space is created',
      1,
      async () => await admin('spaces', { key: `S${Math.floor(random() * 1e6)}` })
    ],
    [
      'a space is archived, deleted or restored',
      1,
      async () =>
        await admin(
          `spaces/${any('spaces')}`,
          pick<object>([
            { status: 'archived' },
            { status: 'current' },
            { deleted: true },
            { deleted: false }
          ])
        )
    ],
    [
      'access to something is lost or given back',
      2,
      async () => {
        const [kind, name] = pick([
          ['page', 'pages'],
          ['space', 'spaces'],
          ['issue', 'issues'],
          ['project', 'projects']
        ] as const)
        await admin('restrict', { [kind]: any(name), restricted: random() < 0.5 })
      }
    ],
    [
      'the index lags',
      1,
      async () => {
        life.lagMs = pick([0, 60_000, 180_000])
        await admin('lag', { ms: life.lagMs })
      }
    ],
    [
      'Atlassian changes its answers',
      4,
      async () => {
        await setAnswers(life, pick(createAnswerRules(pick, any)))
      }
    ],
    [
      'time passes',
      6,
      async () => {
        advanceTime(random() * 5 * MINUTE_MS)
      }
    ],
    ['an incremental copy', 5, async () => await runSyncs(life, 'incremental')],
    ['a full copy', 2, async () => await runSyncs(life, 'full')],
    [
      'the mirror follows',
      3,
      async () => {
        await mirror.catchUp()
      }
    ]
  ]
  let at = random() * things.reduce((sum, [, weight]) => sum + weight, 0)
  for (const [name, weight, perform] of things) {
    at -= weight
    if (at >= 0) continue
    // Changing a missing item fails and has no effect.
    await perform().catch((error: Error) => {
      if (!/^400 no /.test(error.message)) throw error
    })
    return name
  }
  return 'nothing'
}

/** Answers that lack items, fail or have no end (docs/sandbox.md). */
function createAnswerRules(
  pick: <T>(list: readonly T[]) => T,
  any: (name: 'projects' | 'issues' | 'spaces' | 'pages') => string
): object[] {
  const collection = pick(['projects', 'issues', 'spaces', 'pages'] as const)
  return [
    {},
    { list_omits: { collection, share: 0.15, listings: 2 } },
    { list_omits: { collection, ids: [any(collection)], listings: 5 } },
    { issue_errors: [any('issues'), any('issues')] },
    {
      issue_errors: [any('issues')],
      list_omits: { collection: 'issues', share: 0.1, listings: 3 }
    },
    { search_warnings: true, truncate_at: 20 },
    { truncate_at: 25 },
    { repeat_tokens: pick(['same', 'alternating']) },
    { empty_pages: { count: pick([2, 'endless']), cursors: pick(['same', 'alternating', 'new']) } },
    {
      large_pages: {
        above: pick([2, 10, 20]),
        status: pick([504, 'cut-json']),
        cursor_bound: pick([true, false])
      }
    },
    { failing_items: [any('issues'), any('pages')] },
    { count: pick<object>([{ factor: 1.08 }, { factor: 0 }, { status: 400 }]) },
    { account_header: 'absent' }
  ]
}
