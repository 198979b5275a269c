import t from 'tap'
import { createSecret } from '../../src/access/secrets.ts'
import { startServiceProcess } from '../process/child.ts'
import { HttpBrowser } from '../process/browser-visit.ts'
import { buildBearerHeader } from './helper.ts'

t.test(
  'End to end over HTTP: bootstrap key, connect session, browser login, front end with a session token',
  async (t) => {
    const key = createSecret('jcck')
    const { url, output } = await startServiceProcess(t, {
      env: { API_ACCESS: 'protected', BOOTSTRAP_API_KEY: key }
    })
    const made = await fetch(`${url}/connect-sessions`, {
      method: 'POST',
      headers: { ...buildBearerHeader(key), 'content-type': 'application/json' },
      body: JSON.stringify({ user: 'ada@example.com', products: ['jira'] })
    })
    t.equal(made.status, 201)
    const session = (await made.json()) as { user_id: number; token: string; url: string }
    const visitor = new HttpBrowser()
    const link = session.url.replace(/^http:\/\/localhost:\d+/, url)
    t.match(await visitor.open(link), { body: /Connect Jira for ada@example\.com/ })
    const consent = await visitor.submit(link, { product: 'jira' })
    t.match(
      consent.hops.map((hop) => new URL(hop).pathname),
      ['/connect', '/sandbox/authorize']
    )
    const accept =
      /href="([^"]*sandbox_decision=accept[^"]*)"/
        .exec(consent.body)?.[1]
        ?.replaceAll('&amp;', '&') ?? ''
    const end = await visitor.open(new URL(accept, consent.url).href)
    t.match(end, { status: 200, body: /Jira is connected/ })
    t.match(new URL(end.url).searchParams.get('user_id'), String(session.user_id))
    const read = await fetch(`${url}/users/${session.user_id}/connections`, {
      headers: buildBearerHeader(session.token)
    })
    t.match(await read.json(), { connections: [{ product: 'jira' }] })
    t.equal(
      (await fetch(`${url}/users`, { headers: buildBearerHeader(session.token) })).status,
      403
    )
    t.match(await new HttpBrowser().open(link), {
      status: 401,
      body: /another browser has opened it/
    })
    for (const secret of [
      key,
      session.token,
      new URL(session.url).searchParams.get('token') ?? 'x'
    ]) {
      t.notOk(output().includes(secret.slice(3)))
    }
  }
)
