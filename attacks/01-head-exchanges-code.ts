import type { Attack } from './attack.ts'
import { createUser, findConnectedAccount, useKey, Visitor } from './person.ts'

/** A proxy or preview that sends HEAD to the URL of a callback completes somebody's login. */
export const attack: Attack = {
  name: 'exchange a code by HEAD',
  item: 1,
  run: async (target) => {
    const user = await createUser(target, `head-${Date.now()}@example.com`)
    const login = await fetch(`${target.baseUrl}/auth/jira/login?state=user_id=${user}`, {
      headers: { ...useKey(target), accept: 'application/json' }
    })
    const { url = '' } = (await login.json()) as { url?: string }
    const callback = await new Visitor(target).consent(url)
    const answer = await new Visitor(target).open(callback ?? '/', { method: 'HEAD' })
    const account = await findConnectedAccount(target, user)
    return {
      reached: account !== undefined,
      evidence: `HEAD gets ${answer.status}, the user is ${account === undefined ? 'not ' : ''}connected`
    }
  }
}
