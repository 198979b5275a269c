import t from 'tap'
import {
  authorizeUrl,
  CALLBACK,
  acceptConsent,
  getWithToken,
  signIn,
  startSandbox
} from './helper.ts'
import { DEMO_CLIENT } from '../../src/sandbox/oauth/clients.ts'

const fetchPage = async (url: string) => {
  const response = await fetch(url, { redirect: 'manual' })
  return { status: response.status, headers: response.headers, text: await response.text() }
}

t.test(
  'the consent page says that it is a sandbox, names the app and describes its scopes, without scripts',
  async (t) => {
    const { url } = await startSandbox(t)
    const { status, headers, text } = await fetchPage(
      authorizeUrl(url, { state: '"><script>alert(1)</script>' })
    )
    t.equal(status, 200)
    t.match(text, /Sandbox - not the real Atlassian/)
    t.match(text, /Connector \(sandbox app\)/)
    t.match(text, /View Jira issue data/)
    t.match(text, /not been reviewed/)
    t.match(text, /Dana Fox/)
    t.match(text, /Sam Reed/)
    t.notMatch(text, /<script/)
    t.match(headers.get('content-security-policy'), /default-src 'none'/)
    t.notMatch(headers.get('content-security-policy'), /form-action/)
    t.equal(headers.get('cache-control'), 'no-store')
    t.equal(headers.get('referrer-policy'), 'no-referrer')
    t.equal((await fetchPage(`${url}/authorize.css`)).status, 200)
  }
)

t.test('the form redirects with state and code, in that order', async (t) => {
  const { url } = await startSandbox(t)
  const { text } = await fetchPage(authorizeUrl(url, { state: 'a b&c' }))
  const fields = [...text.matchAll(/type="hidden" name="([^"]+)" value="([^"]*)"/g)].map(
    ([, name = '', value = '']): [string, string] => [name, value.replaceAll('&amp;', '&')]
  )
  const body = new URLSearchParams([...fields, ['decision', 'accept']])
  const response = await fetch(`${url}/authorize`, { method: 'POST', body, redirect: 'manual' })
  t.equal(response.status, 302)
  t.match(
    response.headers.get('location'),
    /^http:\/\/localhost:3000\/oauth\/callback\?state=a%20b%26c&code=[\w.%-]{100,}$/
  )
})

t.test('the link beside the form accepts too, for curl -L', async (t) => {
  const { url } = await startSandbox(t)
  const { text } = await fetchPage(authorizeUrl(url))
  const link = /href="(authorize\?[^"]+sandbox_account=sam[^"]*)"/
    .exec(text)?.[1]
    ?.replaceAll('&amp;', '&')
  const response = await fetch(`${url}/${link}`, { redirect: 'manual' })
  t.match(response.headers.get('location'), /state=st&code=/)
})

t.test('cancelling redirects with access_denied and the state', async (t) => {
  const { url } = await startSandbox(t)
  const response = await fetch(authorizeUrl(url, { sandbox_decision: 'cancel' }), {
    redirect: 'manual'
  })
  t.equal(
    response.headers.get('location'),
    `${CALLBACK}?error=access_denied&error_description=User%20did%20not%20authorize%20the%20request&state=st`
  )
})

t.test('app errors end on an Atlassian page, not at the callback', async (t) => {
  const { url, admin } = await startSandbox(t)
  await admin('scopes', { client_id: 'sandbox-client', scopes: ['read:jira-work'] })
  const cases: [Record<string, string | undefined>, RegExp][] = [
    [
      { redirect_uri: 'https://evil.example/cb' },
      /redirect_uri is not registered for client: https:\/\/evil\.example\/cb/
    ],
    [{ client_id: 'nobody' }, /nobody does not exist/],
    [{ scope: 'read:jira-work search:confluence' }, /were not added to it: search:confluence/],
    [{ scope: 'read:jira-work', response_type: undefined }, /response_type must be code/],
    [{ scope: 'read:jira-work', audience: 'elsewhere' }, /audience must be api\.atlassian\.com/]
  ]
  for (const [params, message] of cases) {
    const { status, text, headers } = await fetchPage(
      authorizeUrl(url, { ...params, sandbox_decision: 'accept' })
    )
    t.equal(status, 400)
    t.match(text, message)
    t.equal(headers.get('location'), null)
  }
})

t.test('redirect_uri must match a registered one exactly', async (t) => {
  const { url } = await startSandbox(t, { clients: [{ ...DEMO_CLIENT, redirectUris: [CALLBACK] }] })
  t.equal((await fetchPage(authorizeUrl(url))).status, 200)
  t.equal((await fetchPage(authorizeUrl(url, { redirect_uri: `${CALLBACK}/` }))).status, 400)
})

t.test('accepts a missing state, PKCE parameters and unknown scopes', async (t) => {
  const { url } = await startSandbox(t)
  const back = await acceptConsent(url, {
    state: undefined,
    scope: 'read:jira-work read:no-such-thing',
    code_challenge: 'x',
    code_challenge_method: 'S256'
  })
  t.equal(back.has('state'), false)
  t.ok(back.get('code'))
  t.equal(
    (await signIn(url, { scope: 'read:jira-work read:no-such-thing' })).scope,
    'read:jira-work'
  )
})

t.test(
  'a single-site app lets the user choose the site, and later consents add sites',
  async (t) => {
    const { url } = await startSandbox(t, { clients: [{ ...DEMO_CLIENT, access: 'resource' }] })
    t.match((await fetchPage(authorizeUrl(url))).text, /Choose a site/)
    const sites = async (token: string) =>
      new Set(
        (await getWithToken(`${url}/oauth/token/accessible-resources`, token)).body.map(
          ({ name }: { name: string }) => name
        )
      )
    t.strictSame(
      await sites((await signIn(url, { sandbox_site: 'globex' })).access_token),
      new Set(['globex'])
    )
    t.strictSame(
      await sites((await signIn(url, { sandbox_site: 'acme' })).access_token),
      new Set(['acme', 'globex'])
    )
    t.match(
      (await fetchPage(authorizeUrl(url, { sandbox_decision: 'accept', sandbox_site: 'initech' })))
        .text,
      /does not have/
    )
  }
)
