/**
 * How often responses that take long check that their caller is still authorized. With the time of
 * one check and of one poll, they end within a second after a revocation.
 */
export const AUTHORIZATION_CHECK_INTERVAL_MS = 500

/** Limits a check of the caller to the interval; between two checks the caller counts as authorized. */
export function createAuthorizationCheck(
  isAuthorized: () => Promise<boolean>
): () => Promise<boolean> {
  let lastCheckedAt = performance.now()
  return async () => {
    if (performance.now() - lastCheckedAt < AUTHORIZATION_CHECK_INTERVAL_MS) return true
    lastCheckedAt = performance.now()
    return await isAuthorized()
  }
}
