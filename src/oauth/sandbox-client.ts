/**
 * Credentials of the apps registered with the built-in sandbox. They protect nothing: the
 * sandbox holds generated data.
 */
export const sandboxCredentials = (provider: string) => ({
  clientId: `sandbox-${provider}`,
  clientSecret: `sandbox-secret-${provider}`
})
