import { execFileSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { requireMeans, type Target } from './attack.ts'

/**
 * Creates a service key as an operator does.
 *
 * @returns the headers of a caller with the key
 */
export function createScopedKey(target: Target, scope: string): { authorization: string } {
  const url = requireMeans(target.databaseUrl, 'the database, to create a key (ATTACK_DATABASE)')
  const key = execFileSync(
    process.execPath,
    [
      join(target.root, 'bin/connector.js'),
      ...['api-keys', 'create', '--name', `attack-${Date.now()}`, '--scopes', scope]
    ],
    {
      // The development key lies beside the database.
      cwd: url.startsWith('sqlite:///') ? dirname(url.slice('sqlite:///'.length)) : undefined,
      env: { ...process.env, INTEGRATION_DB_URL: url },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe']
    }
  )
  return { authorization: `Bearer ${key.trim()}` }
}
