import type { InjectOptions } from 'fastify'
import type { SandboxOptions } from '../../src/sandbox/state.ts'
import {
  Browser,
  buildAppWithSandbox,
  FRONTEND_URL,
  type TestApp,
  type Product
} from '../helper.ts'
import type { RunningSandbox } from '../sandbox/helper.ts'
import type { TestContext } from '../types.ts'

/** Login tests need little data and no rate limit. */
export const SMALL_SANDBOX: SandboxOptions = {
  sizes: { projects: 1, issues: 1, spaces: 1, pages: 1 },
  burst: 1_000_000,
  hourlyPoints: 1_000_000_000
}
export const PRODUCTION_ENV = { APP_ENV: 'production' }
/** Request id of the tests, so that a whole Location can be predicted. */
export const TEST_REQUEST_ID = 'a-test'

/** Returns `heavy` with HEAVY=1 (the documented numbers), else `light` (about a minute). */
export function pickByScale(light: number, heavy: number): number {
  return process.env.HEAVY === '1' ? heavy : light
}

export interface TestService extends TestApp {
  sandbox: RunningSandbox
  /** Moves the clocks of the service and of the sandbox. */
  advanceTime: (ms: number) => void
}

export async function startTestService(
  t: TestContext,
  env: NodeJS.ProcessEnv = {},
  sandbox: SandboxOptions = {}
): Promise<TestService> {
  let clockOffsetMs = 0
  const testApp = await buildAppWithSandbox(t, {
    env,
    sandbox: { ...SMALL_SANDBOX, ...sandbox },
    now: () => Date.now() + clockOffsetMs
  })
  return {
    ...testApp,
    advanceTime: (ms) => {
      clockOffsetMs += ms
    }
  }
}

/** Number of token endpoint calls, with any outcome. */
export async function countTokenCalls({ admin }: RunningSandbox): Promise<number> {
  const { log } = (await admin('stats', undefined, 'GET')) as { log: Array<{ path: string }> }
  return log.filter(({ path }) => path === '/oauth/token').length
}

/** The response to a program that starts a login. */
export async function requestLogin(
  { app }: TestApp,
  product: Product,
  query: Record<string, string> = {},
  headers: InjectOptions['headers'] = {}
) {
  return await app.inject({ url: `/auth/${product}/login?${new URLSearchParams(query)}`, headers })
}

/** The authorize URL parameters in that response. */
export async function getAuthorizeParams(
  testApp: TestApp,
  product: Product,
  query: Record<string, string> = {}
): Promise<URLSearchParams> {
  const answer = await requestLogin(testApp, product, query)
  if (answer.statusCode !== 200) throw new Error(`The login was refused: ${answer.body}`)
  return new URL(answer.json().url as string).searchParams
}

/** Opens a callback without a binding cookie, as after a login that a program started. */
export async function openCallback(
  { app }: TestApp,
  callback: string,
  headers: Record<string, string> = {}
) {
  return await new Browser(app).open(callback, { 'x-request-id': TEST_REQUEST_ID, ...headers })
}

/** Replaces the path or the parameters of a URL. */
export function editUrl(
  address: string,
  edit: (query: URLSearchParams) => void,
  pathname?: string
): string {
  const url = new URL(address)
  edit(url.searchParams)
  url.search = url.searchParams.toString()
  if (pathname !== undefined) url.pathname = pathname
  return url.href
}

const ERROR_DETAILS: Record<string, [status: number, sentence: string]> = {
  access_denied: [400, 'Consent was not given.'],
  oauth_error: [400, 'Atlassian ended the login with an error. Start it again.'],
  missing_code: [400, 'The callback carries no code. Start the login again.'],
  missing_state: [400, 'The callback carries no state. Start the login again.'],
  unknown_state: [
    400,
    'The callback carries a state that this service did not issue. Start the login again.'
  ],
  expired_state: [400, 'The login took longer than ten minutes. Start it again.'],
  replayed_state: [400, 'This login was already completed with another code. Start it again.'],
  wrong_product: [400, 'The login was started for another product. Start it again.'],
  wrong_browser: [
    400,
    'The login was started in another browser or under another URL of this service. Start it again here.'
  ],
  user_not_found: [404, 'The state names a user that does not exist.'],
  invalid_code: [502, 'Atlassian did not accept the authorization code. Start the login again.'],
  oauth_misconfigured: [
    502,
    'Atlassian rejected the client id or secret of this service. The operator has to correct them.'
  ]
}

/** The exact redirect of a failed login. */
export function buildFailureUrl(product: Product, code: string, state?: string): string {
  return (
    `${FRONTEND_URL}/oauth/${product}?provider=${product}&status=error&error=${code}` +
    `&message=${encodeURIComponent(getErrorDetail(code))}&request_id=${TEST_REQUEST_ID}` +
    (state === undefined ? '' : `&state=${encodeURIComponent(state)}`)
  )
}

/** The exact redirect of a successful login. */
export function buildSuccessUrl(product: Product, userId = 1, state?: string): string {
  const page = product === 'jira' ? '/oauth/jira?' : '/oauth/callback?provider=confluence&'
  return (
    `${FRONTEND_URL}${page}status=success` +
    `&user_id=${userId}` +
    `${state === undefined ? '' : `&state=${encodeURIComponent(state)}`}` +
    '&connection_state=active'
  )
}

/** The same failure as a problem document. */
export function buildExpectedProblem(code: string): Record<string, unknown> {
  return {
    type: 'about:blank',
    status: ERROR_DETAILS[code]?.[0],
    detail: getErrorDetail(code),
    code,
    request_id: TEST_REQUEST_ID
  }
}

function getErrorDetail(code: string): string {
  const [, text] = ERROR_DETAILS[code] ?? []
  if (text === undefined) throw new Error(`No sentence is known for ${code}`)
  return text
}
