import type { FeedFollower } from '../api/feed-follower.ts'
import type { TestService } from '../auth/helper.ts'
import { PRODUCTS } from '../helper.ts'
import { ACME } from '../sandbox/helper.ts'
import { fetchExpectedState, type ItemTables } from './expected-state.ts'

type RandomSource = () => number
export interface RandomHistory {
  service: TestService
  owner: number
  mirror: FeedFollower
  random: RandomSource
  /** Where the check of deletions continues in the change feed. */
  checkedUntil: string
  lagMs: number
  rules: object
  /** Deletions of items that existed. */
  wrongDeletions: string[]
}

export async function setAnswers(life: RandomHistory, rules: object): Promise<void> {
  life.rules = rules
  await life.service.sandbox.admin('sites/acme/answers', rules, 'PUT')
}

/** Records what was deleted since the last check although Atlassian still has it. */
async function checkDeletions(life: RandomHistory): Promise<void> {
  const {
    service: { app, sandbox },
    owner
  } = life
  const deleted: Array<[collection: keyof ItemTables, remoteId: string]> = []
  for (let hasMore = true; hasMore;) {
    const since = life.checkedUntil === '' ? '' : `&since=${encodeURIComponent(life.checkedUntil)}`
    const page = (await app.inject(`/users/${owner}/changes?limit=1000${since}`)).json()
    for (const { collection, op, remote_id: id } of page.changes) {
      if (op === 'delete') deleted.push([collection, id])
    }
    life.checkedUntil = page.next
    hasMore = page.more
  }
  if (deleted.length === 0) return
  await sandbox.admin('sites/acme/answers', {}, 'PUT')
  const real = await fetchExpectedState(app, sandbox, owner, ACME)
  life.wrongDeletions.push(
    ...deleted
      .filter(([collection, id]) => Object.hasOwn(real[collection], id))
      .map(([collection, id]) => `${collection} ${id}`)
  )
  await sandbox.admin('lag', { ms: life.lagMs })
  await sandbox.admin('sites/acme/answers', life.rules, 'PUT')
}

/** Syncs both products and waits for both runs. */
export async function runSyncs(life: RandomHistory, mode: string): Promise<void> {
  const {
    service: { app },
    owner
  } = life
  for (const product of PRODUCTS) {
    const url = `/integrations/${product}/sync`
    const { id } = (
      await app.inject({ method: 'POST', url: `${url}?owner_id=${owner}&mode=${mode}` })
    ).json() as { id: number }
    for (let state = 'queued'; !['succeeded', 'partial', 'failed'].includes(state);) {
      state = (await app.inject(`${url}/runs/${id}`)).json().state
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }
  await checkDeletions(life)
}
