import type { Collection, Provider } from './provider.ts'

/** The products of one running service. */
export interface ProviderRegistry {
  all: readonly Provider[]
  /** `Jira and Confluence` */
  titles: string
  /** Stands in where a request names no product: the callback that all products share. */
  fallback: Provider
  /** The collections of all products, in order. */
  collections: readonly Collection[]
  find: (id: string) => Provider | undefined
  /** @throws Error for a stored id that this version does not know */
  get: (id: string) => Provider
  /** @throws Error for a name that no product has */
  getCollection: (name: string) => Collection
}

/** `projects, issues and pages` */
export function formatList(words: readonly string[]): string {
  // Not Intl.ListFormat, which loads 2 MB of locale data.
  const first = words.slice(0, -1).join(', ')
  return [...(first === '' ? [] : [first]), ...words.slice(-1)].join(' and ')
}

/** @param all the products; the first is the fallback */
export function createRegistry(all: readonly [Provider, ...Provider[]]): ProviderRegistry {
  const collections = all.flatMap((provider) => [...provider.collections])
  const find = (id: string) => all.find((each) => each.id === id)
  return {
    all,
    titles: formatList(all.map(({ title }) => title)),
    fallback: all[0],
    collections,
    find,
    get(id) {
      const provider = find(id)
      if (provider === undefined) {
        throw new Error('A stored row names a product that this version does not know.')
      }
      return provider
    },
    getCollection(name) {
      const collection = collections.find((each) => each.name === name)
      if (collection === undefined) throw new Error('No product has a collection of this name.')
      return collection
    }
  }
}
