import { join } from 'node:path'
import { startServiceProcess, type ServiceProcess } from '../process/child.ts'
import { BUILD_PATH } from '../process/child.ts'
import type { TestContext } from '../types.ts'

/** Starts a sandbox, and returns the settings of a service that uses it with an app of its own. */
export async function startAtlassian(t: TestContext): Promise<NodeJS.ProcessEnv> {
  const sandbox = await startServiceProcess(t, {
    main: BUILD_PATH,
    args: ['sandbox', '--port', '0'],
    ready: /sandbox on (http:\S+)/
  })
  return {
    ATLASSIAN_AUTH_URL: sandbox.url,
    ATLASSIAN_API_URL: sandbox.url,
    JIRA_OAUTH_CLIENT_ID: 'sandbox-client',
    JIRA_OAUTH_CLIENT_SECRET: 'sandbox-secret',
    JIRA_OAUTH_REDIRECT_URI: 'http://127.0.0.1:3001/auth/jira/callback',
    CONFLUENCE_OAUTH_REDIRECT_URI: 'http://127.0.0.1:3001/auth/confluence/callback'
  }
}

/** Connects the first user. The callback is called directly: its URL has another port. */
export async function connectPerson({ url }: ServiceProcess): Promise<void> {
  const login = (await (await fetch(`${url}/auth/jira/login`)).json()) as { url: string }
  const consent = await fetch(`${login.url}&sandbox_decision=accept`, { redirect: 'manual' })
  const { pathname, search } = new URL(consent.headers.get('location') ?? '')
  await fetch(url + pathname + search, { redirect: 'manual' })
}

/** The state of the connection, after Atlassian was asked. */
export async function checkConnection(url: string): Promise<unknown> {
  const answer = await fetch(`${url}/users/1/connections/jira/check`, { method: 'POST' })
  return ((await answer.json()) as { state?: string }).state
}

/** The file of the installation's vault keys. */
export const getKeyFile = (folder: string): string => join(folder, 'vault-keys')
