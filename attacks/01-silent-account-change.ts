import type { Attack } from './attack.ts'
import { createSession, createUser, findConnectedAccount, Visitor } from './person.ts'

/**
 * A web site sends the victim's browser, which is signed in at Atlassian with another account, to a
 * login with `change_account`. The connected account must not change without a question here.
 */
export const attack: Attack = {
  name: 'replace the connected account by a link with change_account',
  item: 1,
  run: async (target) => {
    const user = await createUser(target, `changed-${Date.now()}@example.com`)
    const browser = new Visitor(target)
    const consentUrl = await browser.openLink((await createSession(target, user)).url)
    await browser.open((await browser.consent(consentUrl, 'dana')) ?? '/')
    const before = await findConnectedAccount(target, user)
    const link = await browser.open('/auth/jira/login?redirect=true&change_account=true')
    const callback = await browser.consent(link.headers.get('location') ?? '/', 'sam')
    if (callback !== null) await browser.open(callback)
    const after = await findConnectedAccount(target, user)
    return {
      reached: before !== undefined && after !== before,
      evidence: `before ${before ?? 'none'}, after ${after ?? 'none'}`
    }
  }
}
