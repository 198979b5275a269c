import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { AttackSkipped, requireMeans, type Attack } from './attack.ts'
import { writeDatabase } from './database.ts'
import { createUser } from './person.ts'

/**
 * Somebody who can write to the database removes the first entries of the audit trail and makes it look
 * as if they had been purged because of their age.
 */
export const attack: Attack = {
  name: 'remove the beginning of the audit trail without being noticed',
  item: 9,
  run: async (target) => {
    const databaseUrl = requireMeans(target.databaseUrl, 'the database (ATTACK_DATABASE)')
    if (!databaseUrl.startsWith('sqlite:')) throw new AttackSkipped('needs a database in a file')
    for (const i of [1, 2, 3]) await createUser(target, `trail-${i}-${Date.now()}@example.com`)
    await writeDatabase(target, [
      'drop trigger if exists audit_head_advances',
      'update audit_head set cut_seq = (select min(seq) + 1 from audit)',
      'update audit_head set cut_hash = (select hash from audit where seq = cut_seq)',
      'delete from audit where seq <= (select cut_seq from audit_head)'
    ])
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [join(target.root, 'bin/connector.js'), 'audit', 'verify'],
      {
        // The folder of the development key.
        cwd: dirname(databaseUrl.replace('sqlite:///', '')),
        env: { PATH: process.env.PATH, INTEGRATION_DB_URL: databaseUrl },
        encoding: 'utf8'
      }
    )
    return {
      reached: status === 0,
      evidence: `audit verify: ${(stdout || stderr).trim()}`
    }
  }
}
