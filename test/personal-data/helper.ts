import type { FastifyInstance, InjectOptions } from 'fastify'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  buildBearerHeader,
  createApiKey,
  PROTECTED_ENV,
  startIdentityProvider
} from '../access/helper.ts'
import { Browser, buildAppWithSandbox, answerConsentPage, PRODUCTS } from '../helper.ts'
import type { SandboxOptions } from '../../src/sandbox/state.ts'
import type { TestContext } from '../types.ts'

/**
 * A protected service with an admin key and users who connect both products with separate
 * accounts.
 */
export async function startServiceWithPeople(
  t: TestContext,
  { env = {}, sandbox = {} }: { env?: NodeJS.ProcessEnv; sandbox?: SandboxOptions } = {}
) {
  const idp = await startIdentityProvider(t)
  const running = await buildAppWithSandbox(t, {
    env: { ...PROTECTED_ENV, ...idp.env, ...env },
    sandbox
  })
  const { app } = running
  const admin = await createApiKey(app, ['admin'], { name: 'crm' })
  const injectAsAdmin = async (url: string, rest: InjectOptions = {}) =>
    await app.inject({ url, headers: admin.headers, ...rest })

  /** @param account its nickname in the sandbox */
  const addPerson = async (
    sub: string,
    account: string,
    { email = `${sub}@example.com`, state = '', extra = '' } = {}
  ) => {
    const headers = buildBearerHeader(
      await idp.sign({ sub, email, email_verified: true, name: `Name of ${sub}` })
    )
    let id = 0
    for (const product of PRODUCTS) {
      const query = state === '' ? '' : `?state=${encodeURIComponent(state)}`
      const { url } = (await app.inject({ url: `/auth/${product}/login${query}`, headers })).json()
      const browser = new Browser(app)
      const {
        headers: { location = '' }
      } = await browser.open(
        await answerConsentPage(
          await browser.continueLogin(url as string),
          'accept',
          `&sandbox_account=${account}${extra}`
        )
      )
      id = Number(new URL(location as string).searchParams.get('user_id'))
      await waitForRunEnd(app, product, headers)
    }
    const post = async (path: string, payload: object) =>
      await app.inject({ method: 'POST', url: path, headers, payload })
    await post('/jira/projects', { owner_id: id, key: 'HAND', name: `Project of ${sub}` })
    await post('/confluence/pages', {
      owner_id: id,
      page_id: `page-${sub}`,
      space_key: 'HAND',
      title: `Page of ${sub}`
    })
    const session = (
      await injectAsAdmin('/connect-sessions', {
        method: 'POST',
        payload: { user: id, return_url: `/back-of-${sub}` }
      })
    ).json() as { token: string; url: string }
    return {
      id,
      headers,
      session,
      get: async (path: string) => (await app.inject({ url: path, headers })).json()
    }
  }
  return { ...running, admin, asAdmin: injectAsAdmin, person: addPerson }
}

/** Waits until the newest run has ended. */
async function waitForRunEnd(
  app: FastifyInstance,
  product: string,
  headers: Record<string, string>
): Promise<void> {
  while (true) {
    const [run] = (
      await app.inject({ url: `/integrations/${product}/sync/runs`, headers })
    ).json() as Array<{ state: string }>
    if (run !== undefined && !['queued', 'running', 'parked'].includes(run.state)) return
    await sleep(20)
  }
}
