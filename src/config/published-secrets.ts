import type { ResolvedSettings } from './aliases.ts'

/** Front-end builds publish the variables whose names start with NEXT_PUBLIC_. */
export function describePublishedSecrets(sources: ResolvedSettings['sources']): string[] {
  const variables = Object.values(sources).filter((name) =>
    /^NEXT_PUBLIC_.*SECRET$/.test(name ?? '')
  )
  return [...new Set(variables)].map(
    (name) =>
      `${name} holds a secret under a name that front-end builds publish to browsers. ` +
      'Rename the variable and replace the secret.'
  )
}
