/** A package as package-lock.json (version 3) has it, under the path where npm puts it. */
export interface LockedPackage {
  version?: string
  license?: string
  /** Subresource Integrity: `sha512-` and base64. */
  integrity?: string
  resolved?: string
  dev?: boolean
  /** Where production can do without it: `devOptional` is also a package for development. */
  optional?: boolean
  devOptional?: boolean
  hasInstallScript?: boolean
  link?: boolean
  dependencies?: Record<string, string>
  optionalDependencies?: Record<string, string>
  peerDependencies?: Record<string, string>
}
export interface Lockfile {
  packages: Record<string, LockedPackage>
}

/** What `npm ci --omit=dev` installs: path and package, the service itself left out. */
export function listProductionPackages({
  packages
}: Lockfile): Array<[path: string, LockedPackage]> {
  return Object.entries(packages).filter(([path, { dev }]) => path !== '' && dev !== true)
}

/** The name of the package at a path: what stands behind the last `node_modules/`. */
export function getPackageName(path: string): string {
  return path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
}

/**
 * What production runs on, as CycloneDX 1.5, from the lockfile alone. `npm sbom` names the folder in the place of the service, and
 * writes a new serial number and the time into it: of one lockfile two bills have to be the same bytes, so that they can be compared.
 */
export function createBillOfMaterials(
  { name, version, license }: { name: string; version: string; license: string },
  lockfile: Lockfile
) {
  const root = {
    type: 'application',
    'bom-ref': toPackageUrl(name, version),
    name,
    version,
    purl: toPackageUrl(name, version),
    licenses: toLicenses(license)
  }
  const parts = new Map(
    listProductionPackages(lockfile)
      .map((entry) => [toPackageRef(...entry), entry] as const)
      .sort(compareByKey)
  )
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.5.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: { lifecycles: [{ phase: 'pre-build' }], component: root },
    components: [...parts].map(([ref, [path, part]]) => toComponent(ref, path, part)),
    dependencies: [
      { ref: root['bom-ref'], dependsOn: listDependencies('', lockfile) },
      ...[...parts].map(([ref, [path]]) => ({ ref, dependsOn: listDependencies(path, lockfile) }))
    ]
  }
}

function toComponent(
  ref: string,
  path: string,
  { version, license, integrity, optional, devOptional }: LockedPackage
) {
  return {
    type: 'library',
    'bom-ref': ref,
    name: getPackageName(path),
    version,
    scope: optional === true || devOptional === true ? 'optional' : 'required',
    purl: ref,
    hashes: integrity === undefined ? [] : [toHash(integrity)],
    licenses: toLicenses(license)
  }
}

/** What a package finds where it looks for what it needs: in its own `node_modules`, then in those above. */
function listDependencies(path: string, { packages }: Lockfile): string[] {
  const { dependencies, optionalDependencies, peerDependencies } = packages[path] ?? {}
  const refs = Object.keys({
    ...dependencies,
    ...optionalDependencies,
    ...peerDependencies
  }).flatMap((name) => {
    for (
      let above = path;
      ;
      above = above.slice(0, Math.max(above.lastIndexOf('/node_modules/'), 0))
    ) {
      const at = `${above === '' ? '' : `${above}/`}node_modules/${name}`
      const found = packages[at]
      if (found !== undefined) return found.dev === true ? [] : [toPackageRef(at, found)]
      if (above === '') return []
    }
  })
  return [...new Set(refs)].sort()
}

const toPackageRef = (path: string, { version = '' }: LockedPackage) =>
  toPackageUrl(getPackageName(path), version)

/** Package URL, type npm: the `@` of a scope is encoded. */
function toPackageUrl(name: string, version: string): string {
  return `pkg:npm/${name.replace(/^@/, '%40')}@${version}`
}

function toHash(integrity: string): { alg: string; content: string } {
  const [algorithm = '', content = ''] = integrity.split('-', 2)
  return {
    alg: algorithm.toUpperCase().replace('SHA', 'SHA-'),
    content: Buffer.from(content, 'base64').toString('hex')
  }
}

/** SPDX: one licence, or an expression of several. */
function toLicenses(license: string | undefined) {
  if (license === undefined) return []
  return [/[ ()]/.test(license) ? { expression: license } : { license: { id: license } }]
}

function compareByKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : a > b ? 1 : 0
}
