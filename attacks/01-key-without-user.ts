import type { Attack } from './attack.ts'
import { createUser, useKey } from './person.ts'

/** A back end that forgets to name the user connects everybody's account to the first user. */
export const attack: Attack = {
  name: 'start a login with a service key that names no user, in protected mode',
  item: 1,
  run: async (target) => {
    await createUser(target, 'first@example.com')
    const login = await fetch(`${target.baseUrl}/auth/jira/login`, {
      headers: { ...useKey(target), accept: 'application/json' }
    })
    return { reached: login.status === 200, evidence: `the login answers ${login.status}` }
  }
}
