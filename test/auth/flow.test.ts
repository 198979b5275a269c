import t from 'tap'
import { Browser, connected, FRONT_END, synced } from '../helper.ts'

t.test('A person connects Jira and sees its projects', async (t) => {
  const { app } = await connected(t)
  const browser = new Browser(app)
  const landed = await browser.connect('jira', '&state=kc-oauth')
  t.equal(landed.statusCode, 302)
  t.equal(landed.headers.location, `${FRONT_END}/oauth/jira?status=success&user_id=1&state=kc-oauth`)
  t.match([...browser.cookies.keys()], [/^flow-/], 'the flow cookie lasts as long as the flow')
  const run = await synced(app, 'jira')
  t.match(run, { state: 'succeeded', counts: { seen: 12, added: 12 } })
  const { items } = (await app.inject('/integrations/jira/projects/fetch')).json()
  t.equal(items.length, 12)
  t.match(items[0], { owner_id: 1, url: /^https:\/\/acme\.atlassian\.net\/browse\// })
})

t.test('A person connects Confluence and sees its pages', async (t) => {
  const { app } = await connected(t)
  const landed = await new Browser(app).connect('confluence')
  t.equal(landed.headers.location, `${FRONT_END}/oauth/callback?provider=confluence&status=success&user_id=1`)
  t.match(await synced(app, 'confluence'), { state: 'succeeded', counts: { seen: 60, added: 60 } })
})
