import { spawn } from 'node:child_process'
import { readdirSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { ensureDatabase, isPostgres } from '../database.ts'
import { CLIENT_SECRET, VAULT_KEY, waitFor } from '../helper.ts'
import { createTempFolder, startServiceProcess } from './child.ts'
import { MAIN_PATH, runCommand } from './command.ts'

const REPOSITORY_ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** A module for Node's --import. */
const toImportFlag = (source: string) =>
  `--import=data:text/javascript,${encodeURIComponent(source)}`

t.test('T40 A start leaves no code in the temporary folder that all users share', async (t) => {
  const shared = createTempFolder(t)
  const { code } = await runCommand(['--help'], { env: { TMPDIR: shared }, main: MAIN_PATH })
  t.equal(code, 0)
  t.same(readdirSync(shared), [])
})

t.test('HOST=localhost opens one server, so that every connection counts', async (t) => {
  const twoAddresses = `import dns from 'node:dns'
    const { lookup } = dns
    const addresses = ['127.0.0.1', '127.0.0.2'].map((address) => ({ address, family: 4 }))
    dns.lookup = (host, options, callback) => {
      if (host !== 'localhost') lookup(host, options, callback)
      else if (options.all) callback(null, addresses)
      else callback(null, '127.0.0.1', 4)
    }`
  const { url, output } = await startServiceProcess(t, {
    flags: [toImportFlag(twoAddresses)],
    env: { HOST: 'localhost', MAX_CONNECTIONS_PER_ADDRESS: '1' }
  })
  await waitFor(() => output().includes('"event":"service_started"'))
  t.equal(output().match(/Server listening/g)?.length, 1)
  t.match(output(), /"event":"exposure".*"listens_on":"127\.0\.0\.1"/)
  t.equal((await fetch(`${url.replace('127.0.0.1', 'localhost')}/livez`)).status, 200)
  await t.rejects(fetch(`${url.replace('127.0.0.1', '127.0.0.2')}/livez`), {
    cause: { code: 'ECONNREFUSED' }
  })
})

t.test('B8 Secrets leave the environment of the process after the start', async (t) => {
  const printEnvironment = `process.on('SIGUSR2', () => {
    const report = JSON.stringify(process.report.getReport())
    console.log('ENVIRONMENT ' + JSON.stringify(process.env) + report + ' END')
  })`
  const { child, output } = await startServiceProcess(t, {
    flags: [toImportFlag(printEnvironment)],
    env: {
      APP_ENV: 'test',
      VAULT_KEYS: VAULT_KEY,
      ATLASSIAN_CLIENT_SECRET: CLIENT_SECRET,
      MARK: 'kept'
    }
  })
  child.kill('SIGUSR2')
  const text = await waitFor(() => /ENVIRONMENT .* END/.exec(output())?.[0])
  t.match(text, '"MARK":"kept"')
  for (const secret of [VAULT_KEY, VAULT_KEY.split(':')[1] ?? '', CLIENT_SECRET]) {
    t.notOk(text.includes(secret), 'no secret in process.env and in diagnostic reports')
  }
})

t.test("T40 The service runs under Node's permission model", async (t) => {
  const cwd = createTempFolder(t)
  const elsewhere = createTempFolder(t)
  const probe = `
    import { execFileSync } from 'node:child_process'
    import { readFileSync, writeFileSync } from 'node:fs'
    import { Worker } from 'node:worker_threads'
    const codes = [
      () => execFileSync('true'),
      () => new Worker('0', { eval: true }),
      () => writeFileSync(${JSON.stringify(join(elsewhere, 'x'))}, ''),
      () => readFileSync('/etc/passwd')
    ].map((act) => {
      try { act(); return 'done' } catch (error) { return error.code }
    })
    console.log('PROBE ' + codes.join())
  `
  // A worktree may link to the packages of another one.
  const modules = realpathSync(join(REPOSITORY_ROOT, 'node_modules'))
  // tap adds a module to each Node that a test starts, which the permission model refuses.
  const child = spawn(
    'env',
    [
      '-u',
      'NODE_OPTIONS',
      process.execPath,
      '--permission',
      ...[REPOSITORY_ROOT, cwd, modules].map((path) => `--allow-fs-read=${path}`),
      `--allow-fs-write=${cwd}`,
      // The SQLite driver is native code; PostgreSQL's is not.
      ...(isPostgres ? [] : ['--allow-addons']),
      toImportFlag(probe),
      MAIN_PATH
    ],
    {
      cwd,
      env: {
        PATH: process.env.PATH,
        PORT: '0',
        INTEGRATION_DB_URL: await ensureDatabase(t, `${cwd}/integration.db`)
      }
    }
  )
  t.teardown(() => child.kill('SIGKILL'))
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
  }
  const url = await waitFor(() => {
    if (child.exitCode !== null) throw new Error(output)
    return /Server listening at (http:[^"\s]+)/.exec(output)?.[1]
  })
  t.match(output, /PROBE (ERR_ACCESS_DENIED,?){4}\n/)
  t.equal((await fetch(`${url}/healthz`)).status, 200)
  t.equal((await fetch(`${url}/users`)).status, 200)
})
