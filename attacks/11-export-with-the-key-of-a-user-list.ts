import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { requireMeans, type Attack } from './attack.ts'
import { createUser } from './person.ts'

/** A key that may list users, as a directory needs it, reads all that is stored about each of them. */
export const attack: Attack = {
  name: "export a person's data with a key for lists of users",
  item: 11,
  run: async (target) => {
    const id = await createUser(target, `exported-${Date.now()}@example.com`)
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [
        join(target.root, 'bin/connector.js'),
        'api-keys',
        'create',
        '--name',
        `directory-${Date.now()}`,
        '--scopes',
        'users:read'
      ],
      {
        env: {
          PATH: process.env.PATH,
          INTEGRATION_DB_URL: requireMeans(target.databaseUrl, 'the database (ATTACK_DATABASE)')
        }
      }
    )
    const { status } = await fetch(`${target.baseUrl}/users/${id}/export`, {
      headers: { authorization: `Bearer ${stdout.trim()}` }
    })
    return { reached: status === 200, evidence: `the export answers ${status}` }
  }
}
