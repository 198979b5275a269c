import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { requireMeans, type Attack } from './attack.ts'
import { createUser } from './person.ts'

/** A key that may only connect accounts asks for the ids of addresses, and creates users. */
export const attack: Attack = {
  name: 'learn ids and create users with connections:write alone',
  item: 11,
  run: async (target) => {
    const url = requireMeans(target.databaseUrl, 'the database, to create a key (ATTACK_DATABASE)')
    const id = await createUser(target, `known-${Date.now()}@example.com`)
    const name = `connector-${Date.now()}`
    const printed = execFileSync(
      process.execPath,
      [
        join(target.root, 'bin/connector.js'),
        ...['api-keys', 'create', '--name', name, '--scopes', 'connections:write']
      ],
      {
        env: { PATH: process.env.PATH, INTEGRATION_DB_URL: url },
        stdio: ['ignore', 'pipe', 'pipe']
      }
    ).toString()
    const [key = ''] = /\bck_[\w-]+/.exec(printed) ?? []
    const email = `unknown-${Date.now()}@example.com`
    const answer = await fetch(`${target.baseUrl}/connect-sessions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ user: email })
    })
    const { user_id: created } = (await answer.json()) as { user_id?: number }
    return {
      reached: created !== undefined && created > id,
      evidence: `asked for an unknown address: ${answer.status}, user ${created ?? 'none'}`
    }
  }
}
