import { readFileSync } from 'node:fs'

/** Reads a file of the repository. */
export const readText = (path: string) =>
  readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
