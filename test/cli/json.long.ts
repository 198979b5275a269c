import { join } from 'node:path'
import t from 'tap'
import { createTempFolder } from '../process/child.ts'
import { runCommand } from '../process/command.ts'

t.test('With --json, a result is one line of JSON', async (t) => {
  const cwd = createTempFolder(t)
  const run = async (...args: string[]): Promise<unknown> => {
    const { code, stdout, stderr } = await runCommand([...args, '--json'], { cwd })
    t.same({ code, lines: stdout.split('\n').length }, { code: 0, lines: 2 }, stderr)
    return JSON.parse(stdout)
  }
  t.match(await run('db', 'migrate'), { applied: Number })
  t.same(await run('db-migrate'), { applied: 0 }, 'the name in earlier versions')
  t.match(await run('keys', 'create', '--id', 'k1'), { id: 'k1', entry: /^k1:/ })
  t.match(await run('api-keys', 'create', '--name', 'crm', '--scopes', 'admin'), {
    key: /^jcck_/,
    name: 'crm',
    scopes: ['admin'],
    expires_at: null
  })
  t.match(await run('api-keys', 'list'), [{ name: 'crm', revoked_at: null, last_used_at: null }])
  t.same(await run('api-keys', 'revoke', 'crm'), { revoked: 'crm' })
  t.match(await run('audit', 'list'), [{ action: String }, { action: String }])
  t.match(await run('audit', 'verify'), { rows: 2, hash: String })
  t.same(await run('audit', 'purge', '--days', '1'), { purged: 0 })
  t.match(await run('keys', 'list'), [{ state: 'current', grants: 0 }])
  t.match(await run('keys', 'rotate'), { reencrypted: 0, remaining: 0, undecryptable: 0 })
  t.match(await run('db', 'backup', '--to', 'backup.db'), { file: 'backup.db', bytes: Number })
  const copy = ['db', 'copy', '--to', `sqlite:///${join(cwd, 'copy.db')}`]
  t.match(await run(...copy), { rows: Number, tables: Number, is_equal: true })
})
