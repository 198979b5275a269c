import type { ProviderId } from '../model/products.ts'

/** The apps that are registered with the built-in sandbox. Their secrets protect nothing: the sandbox holds made-up data. */
export const sandboxCredentials = (provider: ProviderId) => ({
  clientId: `sandbox-${provider}`,
  clientSecret: `sandbox-secret-${provider}`
})
