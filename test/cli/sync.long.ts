import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { createRunProgress, formatProgressLine } from '../../src/cli/terminal.ts'
import type { ApiRun } from '../../src/cli/sync-client.ts'
import { createTempFolder } from '../process/child.ts'
import { spawnSyncCommand, startListening, runSyncCommand } from './sync-helper.ts'
import { startSyncedService } from '../api/synced-service.ts'

// They mostly wait.
t.jobs = 4

t.test('Wrong options end with 2, a sentence and the help, before anybody is asked', async (t) => {
  const requestedPaths: string[] = []
  const server = createServer((request, response) => {
    requestedPaths.push(request.url ?? '')
    response.end()
  }).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await new Promise((resolve) => server.once('listening', resolve))
  const env = { PORT: String((server.address() as AddressInfo).port) }
  const WRONG: Array<[args: string[], sentence: RegExp]> = [
    [[], /^--product must be jira or confluence\./],
    [['--product', 'trello'], /^--product must be/],
    [['--product', 'constructor'], /^--product must be/],
    [['jira'], /Unexpected argument 'jira'/],
    ...['0', '1.5', '', '9999999999999999'].map((owner): [string[], RegExp] => [
      ['--product=jira', `--owner=${owner}`],
      /^--owner must be the id of a user/
    ]),
    [['--product', 'jira', '--mode', 'all'], /^--mode must be due, incremental, full\./],
    ...['localhost', 'http://u:p@x', ''].map((url): [string[], RegExp] => [
      ['--product=jira', `--url=${url}`],
      /^--url must be an http\(s\) address/
    ]),
    [['--product', 'jira', '--cancel', '--mode', 'full'], /^--cancel ends a run/],
    [['--product', 'jira', '--fast'], /Unknown option '--fast'/],
    [['--product', 'jira', '--owner'], /argument missing/]
  ]
  const outputs = await Promise.all(
    WRONG.map(async ([args, sentence]) => ({
      args,
      sentence,
      ...(await runSyncCommand(args, { env }))
    }))
  )
  for (const { args, sentence, code, stdout, stderr } of outputs) {
    t.match({ code, stdout, stderr }, { code: 2, stdout: '', stderr: sentence }, args.join(' '))
    t.match(stderr, /\n\nnpm run sync -- --product/, args.join(' '))
    t.notMatch(stderr, /\n\s+at /, 'no stack')
  }
  t.match(await runSyncCommand(['--help'], { env }), {
    code: 0,
    stdout: /--owner.*--mode.*--no-wait.*--cancel.*--url.*Ctrl-C.*Ends with 0/s,
    stderr: ''
  })
  t.same(requestedPaths, [])
})

t.test(
  'A service that is not there, or is another one, is a sentence with its address',
  async (t) => {
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
        /^The service cannot be reached at http:\/\/127\.0\.0\.1:61231 \(ECONNREFUSED\)\. Is it running\?/
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
      [[], { PORT: '1x' }, 78, /^HOST and PORT make no address\./],
      [[], { PUBLIC_URL: 'x' }, 78, /^PUBLIC_URL must be an http/],
      [
        ['--url', url],
        {},
        1,
        /^http:\/\/127\.0\.0\.1:\d+ answers 404, and not as this service does\./
      ],
      [['--url', `${url}/moved`], {}, 1, /sends elsewhere, to https:\/\/example\.com\/\./]
    ]
    await Promise.all(
      CASES.map(async ([args, env, code, sentence, cwd]) => {
        const output = await runSyncCommand(['--product', 'jira', ...args], {
          env,
          ...(cwd === undefined ? {} : { cwd })
        })
        t.match(
          output,
          { code, stdout: '', stderr: sentence },
          `${args.join(' ')} ${JSON.stringify(env)}`
        )
        t.notMatch(output.stderr, /\n\s+at /, 'no stack')
      })
    )
  }
)

t.test('The command copies, says how it goes and how it ended', async (t) => {
  const service = await startSyncedService(t, ['jira', 'confluence'], {
    sandbox: { sizes: { projects: 20, issues: 60, spaces: 4, pages: 30 } }
  })
  const {
    app,
    sandbox: { admin }
  } = service
  const url = await startListening(app)
  const sync = async (...args: string[]) => await runSyncCommand(['--url', url, ...args])

  t.test('0 when all is copied, in each mode', async (t) => {
    const [full, due] = [
      await sync('--owner', '1', '--product', 'confluence', '--mode', 'full'),
      await sync('--product', 'jira')
    ]
    t.match(full, {
      code: 0,
      stdout:
        /^Run 3 succeeded: 34 read, 0 added, 0 changed, 34 unchanged, 0 removed; \d+ calls, 0:0\d\.\n$/
    })
    t.match(
      full.stderr,
      /^Confluence of user 1: run 3\.\n(.* · 0 added, 0 changed, 0 removed · 0:0\d\n)+$/
    )
    t.match(due, { code: 0, stdout: /^Run 4 succeeded: 20 read/ })
    t.match((await app.inject('/integrations/confluence/sync/runs/3')).json(), { mode: 'full' })
  })

  t.test(
    '1 with the sentence of the service and the id of the request where it refuses',
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
        stderr: 'No Jira run is under way.\n'
      })
      t.match(
        await runSyncCommand(['--product', 'jira', '--url', `${url}/api`, '--cancel']),
        { code: 1, stderr: /under way/ },
        'under the alias too'
      )
    }
  )

  t.test('3 with the first failures where something did not fit', async (t) => {
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
      stdout:
        /^Run 5 has not copied everything: .*\n12 items did not fit; .*\n( {2}projects \d+ \(site [\w-]+\): Its key is longer than .*\n){10} {2}and more: http:.*\/integrations\/jira\/sync\/runs\/5\n$/
    })
    t.match(partial.stderr, /12 skipped/)
  })

  t.test('1 when it failed', async (t) => {
    await admin('faults', { kind: 'status', status: 400, times: 100 })
    t.match(await sync('--product', 'jira', '--mode', 'full'), {
      code: 1,
      stdout: /^Run 6 failed: .*\n.*\.\n( {2}(projects|issues) \(site .*\): .*\.\n){2}$/
    })
    await admin('faults', undefined, 'DELETE')
  })

  t.test(
    'a run that is under way is joined, Ctrl-C leaves it running, and --cancel ends it for all who watch',
    async (t) => {
      await admin('faults', { kind: 'hang', match: { path: 'project/search' }, times: 1 })
      const [first, second] = [
        spawnSyncCommand(['--url', url, '--product', 'jira', '--mode', 'full']),
        spawnSyncCommand(['--url', url, '--product', 'jira', '--mode', 'full'])
      ]
      await Promise.all([first.waitForOutput(/run 7/), second.waitForOutput(/run 7/)])
      await first.waitForOutput(/ · /)
      first.kill('SIGINT')
      const detachedOutput = await first.ended
      t.match(detachedOutput, {
        code: 130,
        stdout: '',
        stderr:
          /^Run 7 goes on without being watched\..*npm run sync -- --product jira · .*--cancel$/m
      })
      t.match((await app.inject('/integrations/jira/sync/runs/7')).json(), { state: 'running' })
      const joined = spawnSyncCommand(['--url', url, '--product', 'jira', '--mode', 'incremental'])
      await joined.waitForOutput(/run 7, which was under way already \(mode full\)/)
      t.match(await sync('--product', 'jira', '--cancel'), {
        code: 0,
        stdout: /^Run 7: The run was cancelled\./,
        stderr: ''
      })
      for (const each of [second, joined]) {
        t.match(await each.ended, {
          code: 1,
          stdout: /^Run 7 was cancelled: .*\nThe run was cancelled\. What it had copied stays/
        })
      }
    }
  )

  t.test(
    'a parked run says until when, and is waited for unless that is not wanted: then 3',
    async (t) => {
      await admin('faults', {
        kind: 'status',
        status: 429,
        headers: { 'retry-after': '3600' },
        match: { path: 'project/search' },
        times: 1
      })
      const waiting = spawnSyncCommand(['--url', url, '--product', 'jira', '--mode', 'full'])
      await waiting.waitForOutput(
        /goes on by itself when its time has come\. That is at [\d/, ]*\d\d:\d\d:\d\d\./
      )
      const impatient = await sync('--product', 'jira', '--no-wait')
      t.match(impatient, {
        code: 3,
        stdout: /^Run 8 is put aside until .*\d\d:\d\d:\d\d and goes on by itself: /,
        stderr: /which was under way already.*That is at/s
      })
      await sync('--product', 'jira', '--cancel')
      t.match(await waiting.ended, { code: 1, stdout: /^Run 8 was cancelled/ })
    }
  )
})

t.test('On a terminal there is a bar, which keeps to its width and its line', (t) => {
  const counts = {
    seen: 0,
    added: 1_200,
    changed: 3,
    unchanged: 0,
    removed: 0,
    held: 0,
    skipped: 0,
    upstream_calls: 0
  }
  const at = (progress: ApiRun['progress'], more: Partial<ApiRun> = {}): ApiRun => ({
    id: 1,
    product: 'jira',
    owner_id: 1,
    mode: 'due',
    state: 'running',
    counts,
    progress,
    failures: [],
    error: null,
    started_at: null,
    next_run_at: null,
    duration_ms: null,
    ...more
  })
  const half = at({ collection: 'pages', done: 600, expected: 1_200 })
  t.equal(
    formatProgressLine(half, 61_000, 119),
    '[############.............]  50 % pages 600 of 1,200 · 1,200 added, 3 changed, 0 removed · 1:01'
  )
  t.equal(
    formatProgressLine(half, 61_000),
    'pages 600 of 1,200 · 1,200 added, 3 changed, 0 removed · 1:01'
  )
  t.equal(
    formatProgressLine(at({ collection: 'pages', done: 1_300, expected: null }), 3_661_000, 119),
    'pages 1,300 · 1,200 added, 3 changed, 0 removed · 1:01:01'
  )
  t.match(
    formatProgressLine(at({ collection: 'issues', done: 9, expected: 8 }), 0, 119),
    /^\[#{25}\] 100 % issues 9 of 8 /,
    'an estimate may be too low'
  )
  t.match(
    [formatProgressLine(at(null), 0), formatProgressLine(at(null, { state: 'queued' }), 0)],
    [/^beginning · /, /^waiting for its turn · /]
  )
  t.match(
    formatProgressLine(
      at(null, {
        state: 'parked',
        next_run_at: new Date(Date.now() + 1_000).toISOString(),
        counts: { ...counts, held: 5, skipped: 2 }
      }),
      0
    ),
    /^parked until .*\d\d:\d\d:\d\d · .*, 5 held, 2 skipped · 0:00$/
  )
  for (let columns = 1; columns < 130; columns++) {
    t.ok(formatProgressLine(half, 0, columns).length <= columns, `${columns} columns`)
  }
  t.notMatch(
    formatProgressLine(at({ collection: 'a\x1b[2J\n', done: 1, expected: null }), 0),
    /\p{C}/u
  )

  const written: string[] = []
  const display = createRunProgress({
    isTTY: true,
    columns: 90,
    write: (text) => written.push(text)
  })
  display.log('Beginning.')
  display.update(half)
  display.log('The service is not there at the moment; trying again.')
  display.finish()
  const drawn = written.join('').replaceAll('\x1b[K', '<end>')
  t.match(
    drawn,
    /^Beginning\.\n\r\[#+\.+\] {2}50 % pages .*<end>\r<end>The service is not there at the moment; trying again\.\n\r\[#+\.+\].*<end>\n$/
  )
  const unsized: string[] = []
  const narrow = createRunProgress({ isTTY: true, columns: 0, write: (text) => unsized.push(text) })
  narrow.update(half)
  narrow.finish()
  t.match(unsized[0], /removed · 0:00/, 'a terminal without a width has a line all the same')
  t.end()
})
