// Writes the bill of materials to standard output: the production packages, as CycloneDX's own tool lists
// them, and the Node that runs them (docs/dependencies.md#supply-chain).
//
//   --operator-node VERSION   names the operator's own Node in place of the pinned ones
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'

interface Component {
  'bom-ref': string
  [field: string]: unknown
}
interface BillOfMaterials {
  metadata: { component: { 'bom-ref': string } }
  components: Component[]
  dependencies: Array<{ ref: string; dependsOn?: string[] }>
}
interface LockedPackage {
  version: string
  integrity: string
}

const REPOSITORY_ROOT = new URL('../', import.meta.url)
const CYCLONEDX_ARGS =
  '--package-lock-only --output-reproducible --flatten-components --omit dev --mc-type application'

const { values } = parseArgs({ options: { 'operator-node': { type: 'string' } } })
const operatorVersion = values['operator-node']
const document = JSON.parse(
  execFileSync('cyclonedx-npm', CYCLONEDX_ARGS.split(' '), {
    cwd: REPOSITORY_ROOT,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024
  })
) as BillOfMaterials
const runtimes =
  operatorVersion === undefined
    ? listPinnedNodes()
    : [createRuntime('operator', operatorVersion, 'Chosen and updated by the operator')]
if (operatorVersion !== undefined) removePinnedNodes()
document.components.push(...runtimes)
const refs = runtimes.map((runtime) => runtime['bom-ref'])
document.dependencies.push(...refs.map((ref) => ({ ref })))
const rootRef = document.metadata.component['bom-ref']
document.dependencies.find(({ ref }) => ref === rootRef)?.dependsOn?.push(...refs)
console.log(JSON.stringify(document, null, 2))

/** The Node of each platform, with the hash of its package. */
function listPinnedNodes(): Component[] {
  const { packages } = readJson('package-lock.json') as { packages: Record<string, LockedPackage> }
  return listPinnedNames().map((name) => {
    const { version, integrity } = packages[`node_modules/${name}`] as LockedPackage
    return {
      ...createRuntime(name, version, `Pinned in package-lock.json as the package ${name}`),
      hashes: [
        {
          alg: 'SHA-512',
          content: Buffer.from(integrity.replace('sha512-', ''), 'base64').toString('hex')
        }
      ]
    }
  })
}

function listPinnedNames(): string[] {
  const { optionalDependencies } = readJson('package.json') as {
    optionalDependencies: Record<string, string>
  }
  return Object.keys(optionalDependencies).filter((name) => /^node-/.test(name))
}

/** Named as scanners of vulnerabilities look for it: they do not know the packages of one platform. */
function createRuntime(id: string, version: string, source: string): Component {
  return {
    type: 'platform',
    'bom-ref': `node-runtime/${id}@${version}`,
    name: 'node',
    version,
    description: source,
    scope: 'required',
    licenses: [{ license: { id: 'MIT' } }],
    cpe: `cpe:2.3:a:nodejs:node.js:${version}:*:*:*:*:*:*:*`,
    purl: `pkg:generic/node@${version}`
  }
}

function removePinnedNodes(): void {
  const names = listPinnedNames()
  const removed = new Set(
    document.components
      .filter(({ name }) => names.includes(name as string))
      .map((component) => component['bom-ref'])
  )
  document.components = document.components.filter(({ 'bom-ref': ref }) => !removed.has(ref))
  document.dependencies = document.dependencies
    .filter(({ ref }) => !removed.has(ref))
    .map((entry) => ({
      ...entry,
      dependsOn: entry.dependsOn?.filter((ref) => !removed.has(ref)) ?? []
    }))
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(new URL(path, REPOSITORY_ROOT), 'utf8'))
}
