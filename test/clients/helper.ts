import { startSandbox, type RunningSandbox } from '../sandbox/helper.ts'
import type { SandboxOptions } from '../../src/sandbox/state.ts'
import type { TestContext } from '../types.ts'

// Both clients build strict schemas if this is set before they load. Members and enum values that
// their schemas lack are collected and do not throw.
process.env.AUDIT_SCHEMAS = 'true'

const DRIFT = Symbol.for('apis-code-gen.schemaAudit')
const ATLASSIAN = /^https:\/\/(auth|api)\.atlassian\.com(?=\/)/

export const CALLBACK = 'http://localhost:3000/oauth/callback'
export const CREDENTIALS = { clientId: 'sandbox-client', clientSecret: 'sandbox-secret' }
export const ACME_URL = 'https://acme.atlassian.net'

/**
 * A sandbox in the place of auth.atlassian.com and api.atlassian.com, whose addresses the clients
 * have built in.
 */
export async function startAsAtlassian(
  t: TestContext,
  options: SandboxOptions = {}
): Promise<RunningSandbox> {
  const sandbox = await startSandbox(t, { indexLagMs: 0, ...options })
  const realFetch = globalThis.fetch
  t.teardown(() => {
    globalThis.fetch = realFetch
  })
  globalThis.fetch = async (input, init) =>
    await realFetch(typeof input === 'string' ? input.replace(ATLASSIAN, sandbox.url) : input, init)
  return sandbox
}

/** Accepts the consent page of an authorization URL, and returns the callback URL. */
export async function accept(authorizeUrl: string): Promise<string> {
  const { headers } = await fetch(`${authorizeUrl}&sandbox_decision=accept`, { redirect: 'manual' })
  return headers.get('location') ?? ''
}

/** What a promise rejects with; undefined if it resolves. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    () => undefined,
    (error: unknown) => error
  )
}

/** What the clients' schemas did not describe, since the last call. */
export function takeDrift(): string[] {
  const store = globalThis as { [DRIFT]?: object[] }
  const drift = store[DRIFT] ?? []
  store[DRIFT] = []
  return [...new Set(drift.map((entry) => JSON.stringify(entry)))]
}
