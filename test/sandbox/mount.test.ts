import Fastify from 'fastify'
import t from 'tap'
import sandboxPlugin from '../../src/sandbox/http/plugin.ts'
import { createSandboxState } from '../../src/sandbox/create-state.ts'
import { ACME, authorizeUrl, CALLBACK } from './helper.ts'

/**
 * A host with its own settings: strict parsing, problem+json, a hook, and two mounts of one
 * sandbox state.
 */
async function createHost(t: { teardown: (fn: () => unknown) => void }) {
  const app = Fastify()
  const state = createSandboxState()
  t.teardown(() => app.close())
  app.setErrorHandler((_error, _request, reply) =>
    reply.code(422).type('application/problem+json').send({ title: 'host' })
  )
  app.setNotFoundHandler((_request, reply) =>
    reply.code(404).type('application/problem+json').send({ title: 'host' })
  )
  app.setValidatorCompiler(() => () => {
    throw new Error('the host validates')
  })
  app.post('/echo', async ({ body }) => body)
  for (const prefix of ['/sandbox', '/api/sandbox']) {
    await app.register(async (scope) => scope.register(sandboxPlugin, { state }), { prefix })
  }
  return { app, state }
}

t.test('two mounts over one state: a code from one is valid at the other', async (t) => {
  const { app } = await createHost(t)
  const authorize = await app.inject(
    authorizeUrl('', { sandbox_decision: 'accept' }).replace(/^/, '/sandbox')
  )
  t.equal(authorize.statusCode, 302)
  const code = new URL(String(authorize.headers.location)).searchParams.get('code')
  const payload = {
    grant_type: 'authorization_code',
    client_id: 'sandbox-client',
    client_secret: 'sandbox-secret',
    code,
    redirect_uri: CALLBACK
  }
  const { access_token: token } = (
    await app.inject({ method: 'POST', url: '/api/sandbox/oauth/token', payload })
  ).json()
  const headers = { authorization: `Bearer ${token}` }
  const projects = (
    await app.inject({
      url: `/api/sandbox/ex/jira/${ACME}/rest/api/3/project/search?maxResults=1`,
      headers
    })
  ).json()
  t.match(projects.nextPage, /\/\/[^/]+\/api\/sandbox\/ex\/jira\//)
  t.equal(
    (await app.inject({ url: projects.nextPage.replace(/^https?:\/\/[^/]+/, ''), headers }))
      .statusCode,
    200
  )
})

t.test('host settings do not affect the sandbox, nor sandbox settings the host', async (t) => {
  const { app } = await createHost(t)
  t.match(
    (
      await app.inject({
        method: 'POST',
        url: '/sandbox/oauth/token',
        payload: '{',
        headers: { 'content-type': 'application/json' }
      })
    ).json(),
    { error: 'invalid_request' }
  )
  t.match((await app.inject('/sandbox/nowhere')).json(), {
    status: 404,
    error: 'Not Found',
    path: '/nowhere'
  })
  t.match((await app.inject('/nowhere')).json(), { title: 'host' })
  t.equal((await app.inject('/nowhere')).headers['atl-traceid'], undefined)
  t.match((await app.inject({ method: 'POST', url: '/echo', payload: { a: 1 } })).json(), {
    a: 1
  })
  t.equal(
    (
      await app.inject({
        method: 'POST',
        url: '/echo',
        payload: 'a=1',
        headers: { 'content-type': 'application/x-www-form-urlencoded' }
      })
    ).statusCode,
    422
  )
})

t.test('the form posts to the address that served the page', async (t) => {
  const { app } = await createHost(t)
  const page = await app.inject(authorizeUrl('/api/sandbox'))
  t.match(page.body, /<form method="post" action="authorize">/)
  const fields = [...page.body.matchAll(/type="hidden" name="([^"]+)" value="([^"]*)"/g)].map(
    ([, name = '', value = '']): [string, string] => [name, value]
  )
  const payload = new URLSearchParams([...fields, ['decision', 'cancel']]).toString()
  const back = await app.inject({
    method: 'POST',
    url: '/api/sandbox/authorize',
    payload,
    headers: { 'content-type': 'application/x-www-form-urlencoded' }
  })
  t.match(back.headers.location, /error=access_denied/)
})
