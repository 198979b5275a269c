import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { many } from '../auth/helper.ts'
import { databaseAt, onPostgres, rowsOf } from '../database.ts'
import { until } from '../helper.ts'
import { folder, start } from './child.ts'

const KILLS = many(5, 200)
const UPSERTS = 1_000
/** Fewer ids than calls: some make a row, some write over one. */
const IDS = 700
const AT_ONCE = 100
/** A start takes under one; a busy machine has more to do. */
const READY_WITHIN_MS = 10_000

interface Row {
  key: string
  name: string
}

t.test(
  `D1 Killed in the middle of ${UPSERTS} upserts at once, ${KILLS} times, the service has every row that it acknowledged, none twice, in a sound database`,
  { timeout: 1_800_000 },
  async (t) => {
    const cwd = folder(t)
    const database = await databaseAt(t, `${cwd}/integration.db`)
    /** By key, the newest that was acknowledged, and what may have been written over it since: those calls have no answer. */
    const acknowledged = new Map<string, number>()
    const [readyMs, killedIn, left] = [[] as number[], [] as number[], [] as number[]]
    let number = 0
    let service = await start(t, { cwd })
    await until(
      async () => (await send(service.url, '/users', { email: 'owner@example.com' })) === 201,
      READY_WITHIN_MS
    )
    for (let kill = 0; kill < KILLS; kill++) {
      const open = new Map<string, number[]>()
      const first = number + 1
      const work = Array.from({ length: AT_ONCE }, async () => {
        while (number - first + 1 < UPSERTS) {
          const mine = ++number
          // No two calls for one row are under way at once: which of them was the last would be anybody's guess.
          const key = `K${(mine * 37) % IDS}`
          if (open.has(key)) continue
          open.set(key, [mine])
          const status = await send(service.url, '/jira/projects', {
            owner_id: 1,
            key,
            name: String(mine)
          })
          if (status === undefined) return
          // Turned away because the machine has too much to do: nothing was acknowledged.
          if (status === 503) continue
          t.ok(status === 200 || status === 201, `answered with ${status}`)
          acknowledged.set(key, mine)
          open.delete(key)
        }
      })
      await sleep(50 + Math.random() * 1_500)
      await service.stop('SIGKILL')
      await Promise.all(work)
      left.push(open.size)
      killedIn.push(number - first + 1)

      const beganAt = performance.now()
      service = await start(t, { cwd })
      await until(async () => (await fetch(`${service.url}/healthz`)).ok, READY_WITHIN_MS)
      readyMs.push(performance.now() - beganAt)

      const rows = await all(service.url)
      const names = new Map(rows.map(({ key, name }) => [key, Number(name)]))
      t.equal(names.size, rows.length, 'none twice')
      const lost = [...acknowledged].filter(
        ([key, mine]) => ![mine, ...(open.get(key) ?? [])].includes(names.get(key) ?? 0)
      )
      t.same(lost, [], `after ${kill + 1} kills`)
      // What came through without an answer is the newest from now on.
      for (const [key, name] of names) acknowledged.set(key, name)
    }
    t.ok(Math.max(...readyMs) < READY_WITHIN_MS)
    t.ok(
      left.some((count) => count > 0),
      'some were killed with calls under way'
    )
    await service.stop()
    if (!onPostgres) {
      t.same(await rowsOf(database, 'pragma integrity_check'), [{ integrity_check: 'ok' }])
      t.same(await rowsOf(database, 'pragma foreign_key_check'), [])
    }
    t.comment(
      `killed after ${Math.min(...killedIn)} to ${Math.max(...killedIn)} calls with up to ${Math.max(...left)} without an answer; ready again after ${Math.round(Math.max(...readyMs))} ms at most; ${acknowledged.size} rows`
    )
  }
)

/** @returns undefined where there was no answer */
async function send(url: string, path: string, body: object): Promise<number | undefined> {
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

async function all(url: string): Promise<Row[]> {
  return await until(async () => {
    const answer = await fetch(`${url}/jira/projects/1?limit=1000`)
    return answer.ok && ((await answer.json()) as Row[])
  }, READY_WITHIN_MS)
}
