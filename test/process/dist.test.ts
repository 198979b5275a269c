import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import pLimit from 'p-limit'
import t from 'tap'
import { COMMANDS } from '../../src/cli/commands.ts'
import { HttpBrowser } from './browser-visit.ts'
import { BUILD_PATH, createTempFolder, startServiceProcess } from './child.ts'
import { runCommand } from './command.ts'

// Made by `npm ci`; a clone whose sources changed since then gets a current one.
execFileSync('npm', ['run', 'build'], { cwd: new URL('../../', import.meta.url) })

t.test('The build starts on an empty database and serves a login, a copy and /docs', async (t) => {
  const service = await startServiceProcess(t, { main: BUILD_PATH })
  const base = service.url.replace('127.0.0.1', 'localhost')
  t.match(await (await fetch(`${base}/healthz`)).json(), {
    status: 'ok',
    checks: { database: 'ok', migrations: 'ok' }
  })

  const jira = await new HttpBrowser().connect(base, 'jira', '&state=abc')
  t.match(jira.body, /Jira is connected/)
  let run: { finished_at: string | null; state: string; counts: { seen: number } }
  do {
    run = (await (await fetch(`${base}/integrations/jira/sync/runs/1`)).json()) as typeof run
  } while (run.finished_at === null)
  t.match(run, { state: 'succeeded', counts: { seen: 312 } })

  const page = await (await fetch(`${base}/docs`)).text()
  const assets = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path = '']) => path)
  t.ok(assets.length >= 3, 'the page names scripts and styles')
  for (const path of assets) {
    const asset = await fetch(new URL(path, `${base}/docs`))
    await asset.arrayBuffer()
    t.equal(asset.status, 200, path)
  }
  t.equal(await service.stop(), 0)
})

t.test('A stack trace of the build names a line of the source', async (t) => {
  const service = await startServiceProcess(t, { main: BUILD_PATH, env: { LOG_LEVEL: 'DEBUG' } })
  t.ok(existsSync(`${BUILD_PATH}.map`))
  await fetch(`${service.url}/auth/jira/callback?code=x&state=never-issued`)
  t.match(service.output(), /src\/oauth\/\w[\w-]*\.ts:\d+/)
})

t.test('Every command of the build prints its usage; an unknown word exits with 2', async (t) => {
  const cwd = createTempFolder(t)
  const run = async (...args: string[]) =>
    await runCommand(args, { cwd, env: { PORT: '0' }, main: BUILD_PATH })
  const paths = COMMANDS.flatMap((entry) => [
    [entry.name],
    ...('load' in entry ? [] : entry.commands.map(({ name }) => [entry.name, name]))
  ])
  t.ok(paths.length > COMMANDS.length)
  const limit = pLimit(2)
  await limit.map([[], ...paths], async (path) => {
    const { code, stdout, stderr } = await run(...path, '--help')
    const [usage = ''] = stdout.split(' [options]')
    const words = ['connector', ...path].join(' ')
    t.same({ code, usage, stderr }, { code: 0, usage: `Usage: ${words}`, stderr: '' }, words)
  })
  for (const args of [['frobnicate'], ['keys', 'frobnicate']]) {
    const { code, stdout, stderr } = await run(...args)
    t.same({ code, stdout }, { code: 2, stdout: '' })
    t.match(stderr, /^Unknown command frobnicate\. Run `connector .*--help`\.\n$/)
  }
  t.same(readdirSync(cwd), [], 'nothing was started')
})
