import { confluence } from './confluence/confluence.ts'
import { jira } from './jira/jira.ts'
import type { ProviderId } from '../model/products.ts'
import type { Provider } from './provider.ts'

/** Every product this service connects. */
export const providers: readonly Provider[] = [jira, confluence]

export function getProvider(id: string): Provider {
  const provider = providers.find((each) => each.id === id)
  if (provider === undefined) {
    throw new Error('A stored row names a product this version does not know')
  }
  return provider
}

export type { Provider, ProviderId }
