import type { Attack } from './attack.ts'
import { createUser, signIn } from './person.ts'

/**
 * The attacker has stolen a token that the identity provider bound to a key of the victim (RFC 9449), and
 * presents it without the key.
 */
export const attack: Attack = {
  name: 'use a stolen DPoP-bound token as a bearer token',
  item: 11,
  run: async (target) => {
    const email = `bound-${Date.now()}@example.com`
    const id = await createUser(target, email)
    const headers = await signIn(target, email, { cnf: { jkt: 'a-key-of-the-victim' } })
    const { status } = await fetch(`${target.baseUrl}/users/${id}`, { headers })
    return { reached: status === 200, evidence: `the victim's data: ${status}` }
  }
}
