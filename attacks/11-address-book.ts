import type { Attack } from './attack.ts'
import { createUser } from './person.ts'
import { createScopedKey } from './scoped-key.ts'

/** A key that may only connect accounts asks for the ids of addresses, and creates users. */
export const attack: Attack = {
  name: 'learn ids and create users with connections:write alone',
  item: 11,
  run: async (target) => {
    const id = await createUser(target, `known-${Date.now()}@example.com`)
    const headers = createScopedKey(target, 'connections:write')
    const email = `unknown-${Date.now()}@example.com`
    const answer = await fetch(`${target.baseUrl}/connect-sessions`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify({ user: email })
    })
    const { user_id: created } = (await answer.json()) as { user_id?: number }
    return {
      reached: created !== undefined && created > id,
      evidence: `asked for an unknown address: ${answer.status}, user ${created ?? 'none'}`
    }
  }
}
