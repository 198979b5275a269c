import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createApiKey } from '../access/helper.ts'
import { PLANTED_TOKEN, startFleet } from '../api/fleet-data.ts'
import { startSyncedService } from '../api/synced-service.ts'
import { queryDatabase } from '../database.ts'
import { VAULT_KEY } from '../helper.ts'
import { startListening } from '../network.ts'
import { createTempFolder } from '../process/child.ts'
import { runCommand } from '../process/command.ts'

t.test('The commands of the fleet list what the API lists, for people and as JSON', async (t) => {
  const { app, url, ada, bob } = await startFleet(t)
  const api = {
    connections: (await app.inject('/connections?state=degraded')).json(),
    users: (await app.inject('/users')).json(),
    runs: (await app.inject(`/sync/runs?owner_id=${ada}&state=failed`)).json()
  }
  await app.close()
  const cwd = createTempFolder(t)
  const run = async (...args: string[]) => {
    const output = await runCommand(args, {
      cwd,
      env: { INTEGRATION_DB_URL: url, VAULT_KEYS: VAULT_KEY }
    })
    t.notMatch(output.stdout + output.stderr, PLANTED_TOKEN)
    return output
  }
  const json = async (...args: string[]) => JSON.parse((await run(...args, '--json')).stdout)

  t.same(await json('connections', 'list', '--state', 'degraded'), api.connections)
  t.same(await json('users', 'list'), api.users)
  t.same(await json('runs', 'list', '--owner', String(ada), '--state', 'failed'), api.runs)
  t.equal((await json('runs', 'list', '--since', '1h')).length, 0, 'the runs are older')
  t.equal((await json('runs', 'list', '--since', '2026-11-01T02:00:00Z')).length, 3)

  const list = await run('connections', 'list', '--text', 'bob@')
  t.match(list, { code: 0, stderr: '' })
  const [line = '', total] = list.stdout.split('\n')
  t.match(line.split('  ').slice(1), [
    'degraded',
    'jira',
    `user ${bob} bob@example.com`,
    'beta',
    /^run \d+ parked$/,
    /sync/,
    'Atlassian did not respond in time.'
  ])
  t.equal(total, 'Total: 1 degraded.')
  t.match(await run('connections', 'list', '--site', 'none'), {
    stdout: 'No connection matches.\n'
  })
  const runs = await run('runs', 'list', '--limit', '1')
  t.match(runs.stdout, /parked.* not ended .*1 seen, 1 added, 0 changed, 0 removed\n$/)
  t.equal(runs.stderr, 'Only the first 1: there are more (--limit).\n')
  t.match(await run('connections', 'list', '--state', 'good'), {
    code: 2,
    stderr: /^--state must be one of active, degraded/
  })

  const resume = ['connections', 'resume', '--product', 'jira', '--user']
  t.match(await run(...resume, String(bob)), {
    code: 0,
    stdout: /^Run \d+ of user \d+ is parked\.\n$/
  })
  const before = Date.now() + 60_000
  const [parked] = await queryDatabase(url, "select parked_until from runs where state = 'parked'")
  t.ok(Number(parked?.parked_until) < before, 'the run continues')
  const [grant] = await queryDatabase(
    url,
    "select due_at, next_try_at from grants where state = 'degraded'"
  )
  t.ok(Number(grant?.due_at) < before, 'its tokens are refreshed')
  t.equal(grant?.next_try_at, null)
  t.match(await json(...resume, String(ada)), { state: 'queued' })
  t.match(await run('connections', 'resume', '--product', 'confluence', '--user', String(ada)), {
    code: 1,
    stderr: 'Only the person can end this state: they have to choose a site.\n'
  })
  t.match(await run(...resume, '9999'), { code: 1, stdout: '', stderr: /^.*\.\n$/ })
})

t.test('"connections check" asks Atlassian through the running service', async (t) => {
  const { app } = await startSyncedService(t, ['jira'], {
    sandbox: { sizes: { projects: 1, issues: 1 } }
  })
  const base = await startListening(app)
  const cwd = createTempFolder(t)
  const { secret } = await createApiKey(app, ['connections:write'])
  writeFileSync(join(cwd, 'key'), `${secret}\n`)
  const check = async (user: string, ...args: string[]) =>
    await runCommand(
      ['connections', 'check', '--user', user, '--product', 'jira', '--url', base, ...args],
      { cwd, env: { CONNECTOR_API_KEY_FILE: 'key' } }
    )
  t.match(await check('1'), { code: 0, stdout: /^jira of user 1: active\. Sites: acme.*\.\n$/ })
  t.match(JSON.parse((await check('1', '--json')).stdout), { product: 'jira', state: 'active' })
  t.match(await check('7'), { code: 1, stdout: '', stderr: /request / })
})
