import type { Attack, Target } from './attack.ts'
import { writeDatabase } from './database.ts'
import { createSession, createUser, findConnectedAccount, useKey, Visitor } from './person.ts'

/**
 * Somebody who can write to the database points their own connection at the grant of a victim, and lets
 * the service use the victim's tokens.
 */
export const attack: Attack = {
  name: "use a victim's tokens by moving a pointer in the database",
  item: 10,
  run: async (target) => {
    const attacker = await connectUser(target, 'dana')
    const victim = await connectUser(target, 'sam')
    await writeDatabase(target, [
      `update connections set grant_id = (select grant_id from connections where user_id = ${victim})
        where user_id = ${attacker}`
    ])
    const check = await fetch(`${target.baseUrl}/users/${attacker}/connections/jira/check`, {
      method: 'POST',
      headers: useKey(target)
    })
    const { account_id: account } = (await check.json()) as { account_id?: string }
    const stolen = await findConnectedAccount(target, victim)
    return {
      reached: check.ok && account !== undefined && account === stolen,
      evidence: check.ok
        ? `the attacker's connection works with the account ${account ?? ''}`
        : `the check of the moved connection answers ${check.status}`
    }
  }
}

/** A new user who has connected Jira. */
async function connectUser(target: Target, account: string): Promise<number> {
  const user = await createUser(target, `${account}-${Date.now()}@example.com`)
  const visitor = new Visitor(target)
  const { url } = await createSession(target, user)
  const callback = await visitor.consent(await visitor.openLink(url), account)
  await visitor.open(callback ?? '/')
  return user
}
