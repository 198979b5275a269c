import { fileURLToPath } from 'node:url'

/**
 * Resolves a path below the folder that holds plugins/, routes/ and drizzle/: the repository, or
 * dist/ in a build, whose chunks lie as deep in it as this file lies in the repository.
 */
export function resolveFromRoot(path: string): string {
  return fileURLToPath(new URL(`../../${path}`, import.meta.url))
}
