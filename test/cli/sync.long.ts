import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { startListening } from '../network.ts'
import { createTempFolder } from '../process/child.ts'
import { runCommand, spawnCommand } from '../process/command.ts'
import { startSyncedService } from '../api/synced-service.ts'

// These tests mostly wait.
t.jobs = 4

t.test('Invalid options exit with 2 and a sentence, before the service is called', async (t) => {
  const requestedPaths: string[] = []
  const server = createServer((request, response) => {
    requestedPaths.push(request.url ?? '')
    response.end()
  }).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await new Promise((resolve) => server.once('listening', resolve))
  const env = { PORT: String((server.address() as AddressInfo).port) }
  const WRONG: Array<[args: string[], sentence: RegExp]> = [
    [[], /^Missing required option --product\./],
    [['--product', 'trello'], /^--product must be/],
    [['--product', 'constructor'], /^--product must be/],
    [['jira'], /^Unexpected argument\./],
    ...['0', '1.5', '', '9999999999999999'].map((owner): [string[], RegExp] => [
      ['--product=jira', `--owner=${owner}`],
      /^--owner must be the id of a user/
    ]),
    [['--product', 'jira', '--mode', 'all'], /^--mode must be due, incremental, full\./],
    ...['localhost', 'http://u:p@x', ''].map((url): [string[], RegExp] => [
      ['--product=jira', `--url=${url}`],
      /^--url must be an http\(s\) address/
    ]),
    [['--product', 'jira', '--cancel', '--mode', 'full'], /^--cancel cannot be combined/],
    [['--product', 'jira', '--fast'], /^Unknown option --fast\./],
    [['--product', 'jira', '--owner'], /^Missing value of option --owner\./]
  ]
  const outputs = await Promise.all(
    WRONG.map(async ([args, sentence]) => ({
      args,
      sentence,
      ...(await runCommand(['sync', ...args], { env }))
    }))
  )
  for (const { args, sentence, code, stdout, stderr } of outputs) {
    t.match({ code, stdout, stderr }, { code: 2, stdout: '', stderr: sentence }, args.join(' '))
    t.match(stderr, / Run `connector sync --help`\.\n$/, args.join(' '))
    t.notMatch(stderr, /\n\s+at /, 'no stack trace')
  }
  t.match(await runCommand(['sync', '--help'], { env }), {
    code: 0,
    stdout: /Ctrl-C.*--owner.*--mode.*--no-wait.*--cancel.*--url.*--key/s,
    stderr: ''
  })
  t.same(requestedPaths, [])
})

t.test('Reports the address of a service that is down or is another program', async (t) => {
  const server = createServer((request, response) => {
    if (request.url?.startsWith('/moved') === true) {
      response.writeHead(301, { location: 'https://example.com/' }).end()
    } else response.writeHead(404, { 'content-type': 'text/html' }).end('<h1>Not here</h1>')
  }).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await new Promise((resolve) => server.once('listening', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const cwd = createTempFolder(t)
  writeFileSync(join(cwd, '.env'), 'PUBLIC_URL=http://127.0.0.1:2/base/\n')
  const CASES: Array<
    [args: string[], env: NodeJS.ProcessEnv, code: number, sentence: RegExp, cwd?: string]
  > = [
    [
      ['--url', 'http://127.0.0.1:61231'],
      {},
      1,
      /^The service cannot be reached at http:\/\/127\.0\.0\.1:61231 \(ECONNREFUSED\)\. Start it, or/
    ],
    [[], { HOST: '0.0.0.0', PORT: '2' }, 1, /at http:\/\/127\.0\.0\.1:2 /],
    [[], { HOST: '::1', PORT: '2' }, 1, /at http:\/\/\[::1\]:2 /],
    [
      [],
      { HOST: '127.0.0.1', PORT: '2', PUBLIC_URL: 'http://localhost:3/x/' },
      1,
      /at http:\/\/localhost:3\/x /
    ],
    [
      ['--url', 'http://127.0.0.1:4/'],
      { PUBLIC_URL: 'http://localhost:3' },
      1,
      /at http:\/\/127\.0\.0\.1:4 /
    ],
    [[], {}, 1, /at http:\/\/127\.0\.0\.1:2\/base /, cwd],
    [[], { PORT: '0' }, 78, /^PORT=0 .* --url\.$/m],
    [[], { PORT: '1x' }, 78, /^HOST and PORT form no address\./],
    [[], { PUBLIC_URL: 'x' }, 78, /^PUBLIC_URL must be an http/],
    [['--url', url], {}, 1, /^http:\/\/127\.0\.0\.1:\d+ returned 404 and is not this service\./],
    [['--url', `${url}/moved`], {}, 1, /redirects to https:\/\/example\.com\/\./]
  ]
  await Promise.all(
    CASES.map(async ([args, env, code, sentence, cwd]) => {
      const output = await runCommand(['sync', '--product', 'jira', ...args], {
        env,
        ...(cwd === undefined ? {} : { cwd })
      })
      t.match(
        output,
        { code, stdout: '', stderr: sentence },
        `${args.join(' ')} ${JSON.stringify(env)}`
      )
      t.notMatch(output.stderr, /\n\s+at /, 'no stack trace')
    })
  )
})

t.test('The command runs a sync and reports its progress and outcome', async (t) => {
  const service = await startSyncedService(t, ['jira', 'confluence'], {
    sandbox: { sizes: { projects: 20, issues: 60, spaces: 4, pages: 30 } }
  })
  const {
    app,
    sandbox: { admin }
  } = service
  const url = await startListening(app)
  const sync = async (...args: string[]) => await runCommand(['sync', '--url', url, ...args])

  t.test('exits with 0 when everything is copied, in each mode', async (t) => {
    const [full, due] = [
      await sync('--owner', '1', '--product', 'confluence', '--mode', 'full'),
      await sync('--product', 'jira')
    ]
    // PostgreSQL leaves gaps in the ids, so only the command knows the id of its run.
    const getRunId = ({ stdout }: { stdout: string }) => /^Run (\d+)/.exec(stdout)?.[1]
    t.match(full, {
      code: 0,
      stdout:
        /^Run \d+ succeeded: 34 read, 0 added, 0 changed, 34 unchanged, 0 removed; \d+ calls, 0:0\d\.\n$/
    })
    t.match(
      full.stderr,
      /^Confluence of user 1: run \d+\.\n(.* · 0 added, 0 changed, 0 removed · 0:0\d\n)+$/
    )
    t.match(due, { code: 0, stdout: /^Run \d+ succeeded: 20 read/ })
    t.match((await app.inject(`/integrations/confluence/sync/runs/${getRunId(full)}`)).json(), {
      mode: 'full'
    })
  })

  t.test(
    "exits with 1, the service's message and the request id when the service refuses",
    async (t) => {
      const refused = await sync('--product', 'jira', '--owner', '9')
      t.match(refused, {
        code: 1,
        stdout: '',
        stderr: /^No user has this id\. \(request ([\w-]+)\)\n$/
      })
      const id = /request ([\w-]+)/.exec(refused.stderr)?.[1]
      t.ok(service.lines().some((line) => line.request_id === id))
      t.match(await sync('--product', 'jira', '--cancel'), {
        code: 1,
        stderr: 'No Jira run is in progress.\n'
      })
      t.match(
        await runCommand(['sync', '--product', 'jira', '--url', `${url}/api`, '--cancel']),
        { code: 1, stderr: /No Jira run is in progress/ },
        'under the alias too'
      )
    }
  )

  t.test('exits with 3 and the first failures when some items were skipped', async (t) => {
    const keys = (await service.get('/jira/projects/1'))
      .json()
      .slice(0, 12)
      .map(({ key }: any) => key)
    for (const id of keys) {
      await admin('spoil', { collection: 'projects', id, fields: { key: 'k'.repeat(9_000) } })
    }
    const partial = await sync('--product', 'jira', '--mode', 'full')
    for (const id of keys) await admin('spoil', { collection: 'projects', id, fields: null })
    t.match(partial, {
      code: 3,
      stdout: new RegExp(
        String.raw`^Run (\d+) succeeded partly: .*\n12 items could not be stored; .*\n` +
          String.raw`( {2}projects \d+ \(site [\w-]+\): Its key is longer than .*\n){10} {2}and ` +
          String.raw`more: http:.*/integrations/jira/sync/runs/\1\n$`
      )
    })
    t.match(partial.stderr, /12 skipped/)
  })

  t.test('exits with 1 when the run failed', async (t) => {
    await admin('faults', { kind: 'status', status: 400, times: 100 })
    t.match(await sync('--product', 'jira', '--mode', 'full'), {
      code: 1,
      stdout: /^Run \d+ failed: .*\n.*\.\n( {2}(projects|issues) \(site .*\): .*\.\n){2}$/
    })
    await admin('faults', undefined, 'DELETE')
  })

  t.test(
    'joins a run that is active; Ctrl-C leaves it running, and --cancel ends it for every watcher',
    async (t) => {
      await admin('faults', { kind: 'hang', match: { path: 'project/search' }, times: 1 })
      const [first, second] = [
        spawnCommand(['sync', '--url', url, '--product', 'jira', '--mode', 'full']),
        spawnCommand(['sync', '--url', url, '--product', 'jira', '--mode', 'full'])
      ]
      const id = /run (\d+)/.exec((await first.waitForOutput(/run \d+/)).stderr)?.[1]
      await second.waitForOutput(new RegExp(`run ${id}`))
      await first.waitForOutput(/ · /)
      first.child.kill('SIGINT')
      const detachedOutput = await first.completion
      t.match(detachedOutput, {
        code: 130,
        stdout: '',
        stderr: new RegExp(
          `^Run ${id} continues\\. .*\`connector sync --product jira\`\\. .*--cancel\`\\.$`,
          'm'
        )
      })
      t.match((await app.inject(`/integrations/jira/sync/runs/${id}`)).json(), { state: 'running' })
      const joined = spawnCommand([
        'sync',
        '--url',
        url,
        '--product',
        'jira',
        '--mode',
        'incremental'
      ])
      await joined.waitForOutput(new RegExp(`run ${id}, already in progress \\(mode full\\)`))
      t.match(await sync('--product', 'jira', '--cancel'), {
        code: 0,
        stdout: new RegExp(`^Run ${id}: The run was cancelled\\.`),
        stderr: ''
      })
      for (const each of [second, joined]) {
        t.match(await each.completion, {
          code: 1,
          stdout: new RegExp(
            `^Run ${id} was cancelled: .*\\nThe run was cancelled\\. Its copies are kept`
          )
        })
      }
    }
  )

  t.test(
    'reports when a parked run resumes and waits for it, or exits with 3 if told not to wait',
    async (t) => {
      await admin('faults', {
        kind: 'status',
        status: 429,
        headers: { 'retry-after': '3600' },
        match: { path: 'project/search' },
        times: 1
      })
      const waiting = spawnCommand(['sync', '--url', url, '--product', 'jira', '--mode', 'full'])
      await waiting.waitForOutput(
        /resumes after the wait it asked for\. It resumes at [\d/, ]*\d\d:\d\d:\d\d\./
      )
      const impatient = await sync('--product', 'jira', '--no-wait')
      t.match(impatient, {
        code: 3,
        stdout: /^Run \d+ is parked until .*\d\d:\d\d:\d\d and resumes by itself: /,
        stderr: /already in progress.*It resumes at/s
      })
      await sync('--product', 'jira', '--cancel')
      t.match(await waiting.completion, { code: 1, stdout: /^Run \d+ was cancelled/ })
    }
  )
})
