import type { Attack } from './attack.ts'
import { createSession, createUser, Visitor } from './person.ts'

/**
 * A victim is connecting accounts. The attacker makes the same browser load a link of their own, for
 * example by a redirect. What the victim connects next must not go to the attacker.
 */
export const attack: Attack = {
  name: 'replace the connect session of a browser by one of the attacker',
  item: 1,
  run: async (target) => {
    const [victim, attacker] = [
      await createSession(target, await createUser(target, `victim-${Date.now()}@example.com`)),
      await createSession(target, await createUser(target, `attacker-${Date.now()}@example.com`))
    ]
    const browser = new Visitor(target)
    await browser.openLink(victim.url)
    await browser.open(attacker.url)
    const statuses = await Promise.all(
      [victim, attacker].map(
        async ({ user }) => (await browser.open(`/users/${user}/connections`)).status
      )
    )
    return {
      reached: statuses[1] === 200,
      evidence: `with its cookie the browser reads the victim: ${statuses[0]}, the attacker: ${statuses[1]}`
    }
  }
}
