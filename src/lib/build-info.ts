import { readFileSync } from 'node:fs'
import { resolveFromRoot } from './root-folder.ts'

/** The commit that `npm run build` recorded; undefined where the source runs or there was no repository. */
export function readCommit(): string | undefined {
  try {
    return readFileSync(resolveFromRoot('commit'), 'utf8').trim()
  } catch {
    return undefined
  }
}
