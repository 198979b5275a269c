import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { pickByScale } from '../auth/helper.ts'
import { ensureDatabase, isPostgres, queryDatabase } from '../database.ts'
import { waitFor } from '../helper.ts'
import { createTempFolder, startServiceProcess } from './child.ts'

const KILL_COUNT = pickByScale(5, 200)
const UPSERT_COUNT = 1_000
/** Fewer ids than calls: some calls insert a row, others update one. */
const ID_COUNT = 700
const BATCH_SIZE = 100
/** A start takes less than a second; the rest allows for a busy machine. */
const READY_TIMEOUT_MS = 10_000

interface ProjectRow {
  key: string
  name: string
}

t.test(
  `D1 Keeps every acknowledged row once after ${KILL_COUNT} kills during ${UPSERT_COUNT} concurrent upserts`,
  { timeout: 1_800_000 },
  async (t) => {
    const cwd = createTempFolder(t)
    const database = await ensureDatabase(t, `${cwd}/integration.db`)
    /**
     * By key: the newest acknowledged value, and later values without a response, which may be
     * stored.
     */
    const acknowledged = new Map<string, number>()
    const [readyMs, killedIn, remainingCounts] = [[] as number[], [] as number[], [] as number[]]
    let number = 0
    let service = await startServiceProcess(t, { cwd })
    await waitFor(
      async () => (await postJson(service.url, '/users', { email: 'owner@example.com' })) === 201,
      READY_TIMEOUT_MS
    )
    for (let kill = 0; kill < KILL_COUNT; kill++) {
      const open = new Map<string, number[]>()
      const first = number + 1
      const work = Array.from({ length: BATCH_SIZE }, async () => {
        while (number - first + 1 < UPSERT_COUNT) {
          const mine = ++number
          // Calls for one row never overlap; otherwise the final value would be undefined.
          const key = `K${(mine * 37) % ID_COUNT}`
          if (open.has(key)) continue
          open.set(key, [mine])
          const status = await postJson(service.url, '/jira/projects', {
            owner_id: 1,
            key,
            name: String(mine)
          })
          if (status === undefined) return
          // Overload response: nothing is acknowledged.
          if (status === 503) continue
          t.ok(status === 200 || status === 201, `answered with ${status}`)
          acknowledged.set(key, mine)
          open.delete(key)
        }
      })
      await sleep(50 + Math.random() * 1_500)
      await service.stop('SIGKILL')
      await Promise.all(work)
      remainingCounts.push(open.size)
      killedIn.push(number - first + 1)

      const beganAt = performance.now()
      service = await startServiceProcess(t, { cwd })
      await waitFor(async () => (await fetch(`${service.url}/healthz`)).ok, READY_TIMEOUT_MS)
      readyMs.push(performance.now() - beganAt)

      const rows = await listProjects(service.url)
      const names = new Map(rows.map(({ key, name }) => [key, Number(name)]))
      t.equal(names.size, rows.length, 'none twice')
      const lostWrites = [...acknowledged].filter(
        ([key, mine]) => ![mine, ...(open.get(key) ?? [])].includes(names.get(key) ?? 0)
      )
      t.same(lostWrites, [], `after ${kill + 1} kills`)
      // Values stored without a response become the newest.
      for (const [key, name] of names) acknowledged.set(key, name)
    }
    t.ok(Math.max(...readyMs) < READY_TIMEOUT_MS)
    t.ok(
      remainingCounts.some((count) => count > 0),
      'some kills happened during calls'
    )
    await service.stop()
    if (!isPostgres) {
      t.same(await queryDatabase(database, 'pragma integrity_check'), [{ integrity_check: 'ok' }])
      t.same(await queryDatabase(database, 'pragma foreign_key_check'), [])
    }
    t.comment(
      `killed after ${Math.min(...killedIn)} to ${Math.max(...killedIn)} calls with up to ` +
        `${Math.max(...remainingCounts)} without an answer; ready again after ` +
        `${Math.round(Math.max(...readyMs))} ms at most; ${acknowledged.size} rows`
    )
  }
)

/** @returns undefined without a response */
async function postJson(url: string, path: string, body: object): Promise<number | undefined> {
  try {
    const answer = await fetch(url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body)
    })
    await answer.arrayBuffer()
    return answer.status
  } catch {
    return undefined
  }
}

async function listProjects(url: string): Promise<ProjectRow[]> {
  return await waitFor(async () => {
    const answer = await fetch(`${url}/jira/projects/1?limit=1000`)
    return answer.ok && ((await answer.json()) as ProjectRow[])
  }, READY_TIMEOUT_MS)
}
