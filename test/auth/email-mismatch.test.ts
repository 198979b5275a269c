import t from 'tap'
import { readAuditTrail } from '../audit/helper.ts'
import { Browser } from '../helper.ts'
import { startTestService } from './helper.ts'

// The sandbox's account has the address dana@example.com.
for (const [mode, email, outcome, isFlagged] of [
  ['allow', 'ada@example.com', /status=success/, false],
  ['flag', 'ada@example.com', /status=success/, true],
  ['flag', 'DANA@example.com', /status=success/, false],
  ['refuse', 'ada@example.com', /error=email_mismatch/, true],
  ['refuse', 'Dana@example.com', /status=success/, false]
] as const) {
  t.test(`CONSENT_EMAIL_MISMATCH=${mode}: the account of Dana for ${email}`, async (t) => {
    const { app, lines, logText } = await startTestService(t, { CONSENT_EMAIL_MISMATCH: mode })
    const callback = await new Browser(app).connect('jira', `&state=email:${email}`)
    t.match(callback.headers.location, outcome)
    t.equal(lines().filter(({ event }) => event === 'consent_email_differs').length, +isFlagged)
    t.notMatch(logText(), /dana@example\.com"/i, 'no address in the log')
    const isStored = outcome.test('status=success')
    t.equal((await app.store.users.list(10)).length, +isStored, 'a refusal creates no user')
    t.equal(
      (await readAuditTrail(app)).filter(
        ({ detail }) => (detail as { email_differs?: boolean } | null)?.email_differs === true
      ).length,
      +(isStored && isFlagged)
    )
  })
}

t.test('An account that shows no address counts as another one', async (t) => {
  const { app, sandbox } = await startTestService(t, { CONSENT_EMAIL_MISMATCH: 'refuse' })
  await sandbox.admin('faults', {
    match: { path: '/me' },
    kind: 'status',
    status: 200,
    body: { account_id: '712020:1c2d3e4f-0000-4000-8000-aabbccddeeff' }
  })
  const callback = await new Browser(app).connect('jira', '&state=email:dana@example.com')
  t.match(callback.headers.location, /error=email_mismatch/)
  t.same(await app.store.users.list(10), [])
})
