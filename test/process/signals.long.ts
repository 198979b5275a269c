import { execFileSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { waitFor } from '../helper.ts'
import { BUILD_PATH } from './child.ts'
import {
  canCreatePidNamespace,
  isRunning,
  REPOSITORY_ROOT,
  sendSignal,
  sendSlowRequest,
  startServiceTree
} from './service-tree.ts'

execFileSync(process.execPath, ['scripts/build.js', '--if-stale'], { cwd: REPOSITORY_ROOT })

/** The body of the open request ends this long after the first signal, during the grace. */
const REQUEST_MS = 3_000
const PAUSE_MS = 700
/** Long enough for a slow machine: the test must see the 503 before the port closes. */
const SETTINGS = { SHUTDOWN_DELAY: '4', SHUTDOWN_GRACE: '20' }

const NODE = [process.execPath, BUILD_PATH]
const PARENTS = {
  'no other program': NODE,
  npm: ['npm', 'start'],
  'a shell that execs': ['sh', '-c', `exec ${NODE.join(' ')} serve`],
  'a shell that waits': ['sh', '-c', `${NODE.join(' ')}; exit $?`],
  'a container, as its process 1': ['unshare', '--pid', '--fork', '--mount-proc', ...NODE]
} as const
type Target = 'parent' | 'service' | 'group'
type Step = readonly [Target, NodeJS.Signals]

interface Row {
  parent: keyof typeof PARENTS
  title: string
  /** With a pause before each step, or all at once. */
  steps: readonly Step[]
  isAtOnce?: true
  /** The exit code of the parent; undefined where a signal ends it before the service. */
  code?: number
  /** Whether the process ends before the open request is answered. */
  isForced?: true
}

const TERM = 'SIGTERM'
const INT = 'SIGINT'
const ROWS: readonly Row[] = [
  { parent: 'no other program', title: 'SIGTERM', steps: [['service', TERM]], code: 0 },
  { parent: 'no other program', title: 'SIGINT', steps: [['service', INT]], code: 0 },
  {
    parent: 'no other program',
    title: 'a second SIGTERM',
    steps: [
      ['service', TERM],
      ['service', TERM]
    ],
    code: 0
  },
  {
    parent: 'no other program',
    title: 'SIGINT and SIGTERM',
    steps: [
      ['service', INT],
      ['service', TERM]
    ],
    code: 0
  },
  {
    parent: 'no other program',
    title: 'a third SIGTERM',
    steps: [
      ['service', TERM],
      ['service', TERM],
      ['service', TERM]
    ],
    code: 143,
    isForced: true
  },
  {
    parent: 'no other program',
    title: 'a second SIGINT',
    steps: [
      ['service', INT],
      ['service', INT]
    ],
    code: 130,
    isForced: true
  },
  { parent: 'npm', title: 'SIGTERM to npm only', steps: [['parent', TERM]] },
  { parent: 'npm', title: 'SIGTERM to the group', steps: [['group', TERM]] },
  { parent: 'npm', title: 'Ctrl-C, SIGINT to the group', steps: [['group', INT]] },
  {
    parent: 'npm',
    title: 'the SIGTERM of systemd to npm and to the service',
    steps: [
      ['parent', TERM],
      ['service', TERM]
    ],
    isAtOnce: true
  },
  { parent: 'a shell that execs', title: 'SIGTERM', steps: [['parent', TERM]], code: 0 },
  { parent: 'a shell that waits', title: 'SIGTERM to the group', steps: [['group', TERM]] },
  { parent: 'a shell that waits', title: 'SIGINT to the group', steps: [['group', INT]] },
  {
    parent: 'a container, as its process 1',
    title: 'SIGTERM',
    steps: [['service', TERM]],
    code: 0
  },
  {
    parent: 'a container, as its process 1',
    title: 'a second SIGTERM',
    steps: [
      ['service', TERM],
      ['service', TERM]
    ],
    code: 0
  },
  {
    parent: 'a container, as its process 1',
    title: 'a second SIGINT',
    steps: [
      ['service', INT],
      ['service', INT]
    ],
    code: 130,
    isForced: true
  }
]

const skipNamespaces = canCreatePidNamespace() ? false : 'this user may not create PID namespaces'
t.jobs = 4

for (const { parent, title, steps, isAtOnce, code, isForced = false } of ROWS) {
  const outcome = isForced ? 'ends the process at once' : 'the open request is answered'
  const skip = parent.startsWith('a container') ? skipNamespaces : false
  t.test(`Under ${parent}: ${title}: ${outcome}`, { skip, buffered: true }, async (t) => {
    const service = await startServiceTree(t, PARENTS[parent], SETTINGS)
    const { url, parentPid, servicePid } = service
    const targets = { parent: parentPid, service: servicePid, group: -parentPid }
    t.equal((await fetch(`${url}/healthz`)).status, 200)
    const openRequest = sendSlowRequest(url, PAUSE_MS + REQUEST_MS)
    await sleep(PAUSE_MS)
    for (const [i, [target, signal]] of steps.entries()) {
      if (i > 0 && isAtOnce !== true) await sleep(PAUSE_MS)
      sendSignal(targets[target], signal)
    }
    if (!isForced) {
      await waitFor(async () => (await fetch(`${url}/healthz`)).status === 503)
    }

    t.equal(await openRequest, isForced ? undefined : 201)
    const endCode = await service.ended
    if (code !== undefined) t.equal(endCode, code, 'the exit code')
    await waitFor(() => !isRunning(servicePid) && !isRunning(parentPid))
    await t.rejects(fetch(`${url}/healthz`), 'the port is free')
    t.match(service.output(), /"event":"service_stopping"/)
    t.match(
      service.output(),
      isForced ? /"event":"stop_forced"/ : /"event":"service_stopped".*"complete":true/
    )
  })
}
