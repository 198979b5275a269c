import { buildSandbox } from '../../src/sandbox/server.ts'
import type { FastifyInstance } from 'fastify'
import type { AddressInfo } from 'node:net'
import { createSandboxState } from '../../src/sandbox/create-state.ts'
import type { SandboxOptions, SandboxState } from '../../src/sandbox/state.ts'
import type { TestContext } from '../types.ts'

export interface RunningSandbox {
  /** Without a trailing slash. */
  url: string
  state: SandboxState
  /** Calls the admin API, with POST by default; throws if it refuses. */
  admin: (path: string, body?: object, method?: string) => Promise<Record<string, unknown>>
}

/**
 * A sandbox that listens on localhost until the test ends.
 *
 * @param prepare gets the server before it listens
 */
export async function startSandbox(
  t: TestContext,
  options: SandboxOptions = {},
  prepare: (app: FastifyInstance) => void = () => {}
): Promise<RunningSandbox> {
  const state = createSandboxState(options)
  const app = buildSandbox({ state })
  prepare(app)
  t.teardown(() => app.close())
  await app.listen({ host: '127.0.0.1', port: 0 })
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
  return {
    url,
    state,
    admin: (path, body, method = 'POST') => callAdmin(`${url}/admin/${path}`, method, body)
  }
}

async function callAdmin(url: string, method: string, body?: object) {
  const response = await fetch(url, {
    method,
    ...(body !== undefined && {
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' }
    })
  })
  const result = (await response.json()) as Record<string, unknown>
  if (!response.ok) throw new Error(`${response.status} ${result.error}`)
  return result
}

export const ACME = '8f0c1d3e-2222-4b4b-9a9a-000000000001'
export const GLOBEX = '8f0c1d3e-2222-4b4b-9a9a-000000000002'
export const CALLBACK = 'http://localhost:3000/oauth/callback'
const SCOPES =
  'read:jira-work read:jira-user read:space:confluence read:page:confluence ' +
  'search:confluence read:confluence-user read:me offline_access'
const CREDENTIALS = { client_id: 'sandbox-client', client_secret: 'sandbox-secret' }

export interface JsonResponse {
  status: number
  headers: Headers
  body: any
}
export interface TokenResponse {
  access_token: string
  refresh_token: string
  scope: string
  expires_in: number
  token_type: string
}

/** An authorization URL as an app builds it; undefined removes a parameter. */
export function authorizeUrl(url: string, params: Record<string, string | undefined> = {}): string {
  const all = {
    audience: 'api.atlassian.com',
    client_id: 'sandbox-client',
    scope: SCOPES,
    redirect_uri: CALLBACK,
    state: 'st',
    response_type: 'code',
    prompt: 'consent',
    ...params
  }
  const defined = Object.entries(all).filter(
    (entry): entry is [string, string] => entry[1] !== undefined
  )
  return `${url}/authorize?${new URLSearchParams(defined)}`
}

/** Accepts the consent without the page; returns the query of the callback. */
export async function acceptConsent(
  url: string,
  params: Record<string, string | undefined> = {}
): Promise<URLSearchParams> {
  const response = await fetch(authorizeUrl(url, { sandbox_decision: 'accept', ...params }), {
    redirect: 'manual'
  })
  return new URL(
    response.headers.get('location') ?? `http://no-callback.invalid/?status=${response.status}`
  ).searchParams
}

export async function tokenRequest(
  url: string,
  fields: Record<string, unknown>
): Promise<JsonResponse> {
  return await fetchJson(`${url}/oauth/token`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...CREDENTIALS, ...fields })
  })
}

export async function redeemCode(url: string, code: string | null): Promise<JsonResponse> {
  return await tokenRequest(url, { grant_type: 'authorization_code', code, redirect_uri: CALLBACK })
}

export async function refreshTokens(url: string, token: string): Promise<JsonResponse> {
  return await tokenRequest(url, { grant_type: 'refresh_token', refresh_token: token })
}

/** The complete OAuth flow. */
export async function signIn(
  url: string,
  params: Record<string, string | undefined> = {}
): Promise<TokenResponse> {
  const { body } = await redeemCode(url, (await acceptConsent(url, params)).get('code'))
  return body
}

/** Sends a GET with a bearer token, unless `init` says otherwise. */
export async function getWithToken(
  url: string,
  token: string,
  init: RequestInit = {}
): Promise<JsonResponse> {
  return await fetchJson(url, {
    ...init,
    headers: { authorization: `Bearer ${token}`, ...init.headers }
  })
}

export async function postWithToken(
  url: string,
  token: string,
  body: unknown
): Promise<JsonResponse> {
  return await getWithToken(url, token, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body)
  })
}

async function fetchJson(url: string, init: RequestInit): Promise<JsonResponse> {
  const response = await fetch(url, init)
  const text = await response.text()
  const json = (response.headers.get('content-type') ?? '').includes('json') && text !== ''
  return {
    status: response.status,
    headers: response.headers,
    body: json ? JSON.parse(text) : text
  }
}

/** Callers for both products of one site: `jira('/project/search')`, `wiki('/api/v2/pages')`. */
export function createCallers(url: string, token: string, cloudId = ACME) {
  return {
    jira: (path: string) => getWithToken(`${url}/ex/jira/${cloudId}/rest/api/3${path}`, token),
    jiraPost: (path: string, body: unknown) =>
      postWithToken(`${url}/ex/jira/${cloudId}/rest/api/3${path}`, token, body),
    wiki: (path: string) => getWithToken(`${url}/ex/confluence/${cloudId}/wiki${path}`, token)
  }
}

/** A sandbox with Dana signed in, and callers for both products of her first site. */
export async function startSignedIn(t: TestContext, options: SandboxOptions = {}) {
  const sandbox = await startSandbox(t, options)
  const { access_token: token } = await signIn(sandbox.url)
  return { ...sandbox, token, ...createCallers(sandbox.url, token) }
}

/** Callers for the same site as another account. */
export async function createCallersAs(url: string, account: string, cloudId = ACME) {
  return createCallers(url, (await signIn(url, { sandbox_account: account })).access_token, cloudId)
}
