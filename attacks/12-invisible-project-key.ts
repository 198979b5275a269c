import type { Attack } from './attack.ts'
import { createUser, useKey } from './person.ts'

/** A posted project looks like another one in every list, and its key walks up paths of readers. */
export const attack: Attack = {
  name: 'post a project whose key is not what it looks like',
  item: 12,
  run: async (target) => {
    const owner = await createUser(target, `posting-${Date.now()}@example.com`)
    const statuses = await Promise.all(
      ['PAY\u200b', '\u202eYAP', '..', 'A/../../B'].map(async (key) => {
        const answer = await fetch(`${target.baseUrl}/jira/projects`, {
          method: 'POST',
          headers: { ...useKey(target), 'content-type': 'application/json' },
          body: JSON.stringify({ owner_id: owner, key, name: 'Payments' })
        })
        return answer.status
      })
    )
    return { reached: statuses.includes(201), evidence: `answers ${statuses.join(', ')}` }
  }
}
