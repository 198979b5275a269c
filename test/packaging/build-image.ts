import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  symlinkSync
} from 'node:fs'
import { basename, join } from 'node:path'
import type { Test } from 'tap'
import { createTempFolder } from '../process/child.ts'
import { listContext, parseDockerfile, ROOT, type Stage } from './dockerfile.ts'

/** The steps of the Dockerfile run as this user, who has no rights. */
const NOBODY_UID = 65_534
const NPM_TIMEOUT_MS = 300_000

export interface BuiltImage {
  /** What the image has in /app; nobody may write to it. */
  app: string
  /** A Node that every user may run. */
  node: string
}

/**
 * Runs the steps of the Dockerfile in folders, as a user without rights, and makes the result
 * read-only. Two differ from the engine: the stage that builds uses the packages that are installed
 * here, which `npm ci` made from the same package-lock.json, and steps outside /app are left out.
 */
export function buildImage(t: Test): BuiltImage {
  const folder = createTempFolder(t)
  chmodSync(folder, 0o755)
  const node = join(folder, 'node')
  copyFileSync(process.execPath, node)
  chmodSync(node, 0o755)
  const { stages } = parseDockerfile()
  const apps = new Map<string | undefined, string>()
  for (const stage of stages) {
    const app = join(folder, stage.name ?? 'image')
    mkdirSync(app)
    apps.set(stage.name, app)
    if (isRoot()) chownSync(app, NOBODY_UID, NOBODY_UID)
    for (const { verb, args } of stage.instructions) {
      if (verb === 'COPY') copy(args, app, apps)
      if (verb === 'RUN' && !args.includes(' /data')) runStep(t, stage, args, app)
    }
  }
  const app = apps.get(undefined) as string
  // The engine copies as root, whoever builds.
  if (isRoot()) spawnSync('chown', ['-Rh', '0:0', app])
  spawnSync('chmod', ['-R', 'a-w,a+rX', app])
  t.teardown(() => spawnSync('chmod', ['-R', 'u+w', app]))
  return { app, node }
}

const isRoot = () => process.getuid?.() === 0

function copy(args: string, app: string, apps: Map<string | undefined, string>): void {
  const words = args.split(/\s+/)
  const from = words[0]?.startsWith('--from=') ? words.shift()?.slice('--from='.length) : undefined
  const target = words.pop() as string
  const sources = words.flatMap((word) => (word === '.' ? listContext() : [word]))
  for (const source of sources) {
    const path =
      from === undefined
        ? join(ROOT, source)
        : join(apps.get(from) as string, source.replace('/app/', ''))
    const isFolder = target.endsWith('/') || target === '.'
    cpSync(path, join(app, isFolder ? join(target, basename(source)) : target), {
      recursive: true,
      verbatimSymlinks: true
    })
  }
  if (isRoot()) spawnSync('chown', ['-Rh', `${NOBODY_UID}:${NOBODY_UID}`, app])
}

function runStep(t: Test, { name }: Stage, command: string, app: string): void {
  if (name === 'build' && command.startsWith('npm ci')) {
    symlinkSync(join(ROOT, 'node_modules'), join(app, 'node_modules'))
    return
  }
  const home = join(app, '..', `home-${name}`)
  if (!existsSync(home)) mkdirSync(home)
  if (isRoot()) chownSync(home, NOBODY_UID, NOBODY_UID)
  const registry = spawnSync('npm', ['config', 'get', 'registry'], { encoding: 'utf8' })
  const { status, stdout, stderr } = spawnSync('sh', ['-c', `unset NODE_OPTIONS; ${command}`], {
    cwd: app,
    encoding: 'utf8',
    timeout: NPM_TIMEOUT_MS,
    // An npm that runs the tests passes on its own settings, such as the cache of another user.
    env: {
      ...Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith('npm_'))),
      HOME: home,
      npm_config_registry: registry.stdout.trim()
    },
    ...(isRoot() ? { uid: NOBODY_UID, gid: NOBODY_UID } : {})
  })
  t.equal(status, 0, `${name}: ${command}`)
  if (status !== 0) t.comment(stdout + stderr)
}
