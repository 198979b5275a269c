import type { Attack } from './attack.ts'
import { createUser } from './person.ts'
import { createScopedKey } from './scoped-key.ts'

/** A key that may list users, as a directory needs it, reads all that is stored about each of them. */
export const attack: Attack = {
  name: "export a person's data with a key for lists of users",
  item: 11,
  run: async (target) => {
    const id = await createUser(target, `exported-${Date.now()}@example.com`)
    const { status } = await fetch(`${target.baseUrl}/users/${id}/export`, {
      headers: createScopedKey(target, 'users:read')
    })
    return { reached: status === 200, evidence: `the export answers ${status}` }
  }
}
