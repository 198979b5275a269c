import { AppError } from '../lib/errors.ts'
import { isSameHash, hashSecret } from '../lib/secret.ts'
import type { LoginFlowRow } from '../store/repositories/login-flows.ts'

export interface BoundCallback {
  /** The product of the callback that was called; undefined for the callback of all products. */
  provider: string | undefined
  query: { state?: string | undefined }
  /** Returns this browser's binding secret for the flow, if it sent one. */
  readBindingSecret: (flowName: string, redirectUri: string) => string | undefined
}

/** Checks that the callback belongs to the flow's product and comes from its browser. */
export function checkBinding(
  flow: LoginFlowRow,
  { provider, query: { state = '' }, readBindingSecret }: BoundCallback
): AppError | undefined {
  if (provider !== undefined && provider !== flow.provider) {
    return new AppError(
      'wrong_product',
      'The login was started for another product. Start it again.'
    )
  }
  if (flow.browserHash === null) return undefined
  const secret = readBindingSecret(deriveFlowName(state), flow.redirectUri)
  if (secret !== undefined && isSameHash(hashSecret(secret), flow.browserHash)) return undefined
  return new AppError(
    'wrong_browser',
    'The login was started in another browser or under another URL of this service. ' +
      'Start it again here.'
  )
}

/**
 * Derives the name of a flow's cookie, so that several tabs can log in at once. It reveals
 * nothing about the state.
 */
export function deriveFlowName(state: string): string {
  return hashSecret(`flow ${state}`).slice(0, 12)
}
