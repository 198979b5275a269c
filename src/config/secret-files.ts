import { readFileSync } from 'node:fs'

/** A file that a variable such as `JIRA_OAUTH_CLIENT_SECRET_FILE` names. */
export interface SecretFile {
  variable: string
  path: string
}

/** VAULT_KEYS has a setting of its own for this, because its file is read again while the service runs. */
const VARIABLES_WITHOUT_FILE = ['VAULT_KEYS', 'https_proxy']

/** The variable that names a file with the value of a secret variable; undefined if there is none. */
export function getFileVariable(
  variable: string,
  secretVariables: readonly string[]
): string | undefined {
  return secretVariables.includes(variable) && !VARIABLES_WITHOUT_FILE.includes(variable)
    ? `${variable}_FILE`
    : undefined
}

/** @returns the file's text, trimmed; or a sentence that names the variable */
export function readSecretFile({ variable, path }: SecretFile): {
  value?: string
  problem?: string
} {
  try {
    const value = readFileSync(path, 'utf8').trim()
    return value === '' ? { problem: `${variable} names an empty file.` } : { value }
  } catch {
    return { problem: `${variable} names a file that cannot be read.` }
  }
}
