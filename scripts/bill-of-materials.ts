/** A package as package-lock.json (version 3) has it, under the path where npm puts it. */
export interface Locked {
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
  packages: Record<string, Locked>
}

/** What `npm ci --omit=dev` installs: path and package, the service itself left out. */
export function production({ packages }: Lockfile): Array<[path: string, Locked]> {
  return Object.entries(packages).filter(([path, { dev }]) => path !== '' && dev !== true)
}

/** The name of the package at a path: what stands behind the last `node_modules/`. */
export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
}

/**
 * What production runs on, as CycloneDX 1.5, from the lockfile alone. `npm sbom` names the folder in the place of the service, and
 * writes a new serial number and the time into it: of one lockfile two bills have to be the same bytes, so that they can be compared.
 */
export function billOfMaterials(
  { name, version, license }: { name: string; version: string; license: string },
  lockfile: Lockfile
) {
  const root = {
    type: 'application',
    'bom-ref': purl(name, version),
    name,
    version,
    purl: purl(name, version),
    licenses: licences(license)
  }
  const parts = new Map(
    production(lockfile)
      .map((entry) => [refOf(...entry), entry] as const)
      .sort(byKey)
  )
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.5.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: { lifecycles: [{ phase: 'pre-build' }], component: root },
    components: [...parts].map(([ref, [path, part]]) => component(ref, path, part)),
    dependencies: [
      { ref: root['bom-ref'], dependsOn: needs('', lockfile) },
      ...[...parts].map(([ref, [path]]) => ({ ref, dependsOn: needs(path, lockfile) }))
    ]
  }
}

function component(
  ref: string,
  path: string,
  { version, license, integrity, optional, devOptional }: Locked
) {
  return {
    type: 'library',
    'bom-ref': ref,
    name: nameOf(path),
    version,
    scope: optional === true || devOptional === true ? 'optional' : 'required',
    purl: ref,
    hashes: integrity === undefined ? [] : [hash(integrity)],
    licenses: licences(license)
  }
}

/** What a package finds where it looks for what it needs: in its own `node_modules`, then in those above. */
function needs(path: string, { packages }: Lockfile): string[] {
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
      if (found !== undefined) return found.dev === true ? [] : [refOf(at, found)]
      if (above === '') return []
    }
  })
  return [...new Set(refs)].sort()
}

const refOf = (path: string, { version = '' }: Locked) => purl(nameOf(path), version)

/** Package URL, type npm: the `@` of a scope is encoded. */
function purl(name: string, version: string): string {
  return `pkg:npm/${name.replace(/^@/, '%40')}@${version}`
}

function hash(integrity: string): { alg: string; content: string } {
  const [algorithm = '', content = ''] = integrity.split('-', 2)
  return {
    alg: algorithm.toUpperCase().replace('SHA', 'SHA-'),
    content: Buffer.from(content, 'base64').toString('hex')
  }
}

/** SPDX: one licence, or an expression of several. */
function licences(license: string | undefined) {
  if (license === undefined) return []
  return [/[ ()]/.test(license) ? { expression: license } : { license: { id: license } }]
}

function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : a > b ? 1 : 0
}
