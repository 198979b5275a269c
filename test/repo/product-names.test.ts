import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** Files that may name a product, each with the reason. */
const EXEMPT: Array<[pattern: RegExp, reason: string]> = [
  [/^src\/providers\/(jira|confluence)\//, 'the descriptors'],
  [/^src\/providers\/index\.ts$/, 'the list of the built-in products'],
  [/^src\/sandbox\//, 'imports nothing of the service'],
  [/^src\/cli\/sandbox\.ts$/, 'starts the sandbox with its default products'],
  [/^routes\/users\/index\.ts$/, 'field names of the contract (docs/reference/contract.md)'],
  [/^src\/store\/postgres\/pool\.ts$/, 'the name of the package']
]

const withoutComments = (source: string) =>
  source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$|\s\/\/ .*$/gm, '')

function findProductNames(source: string): string[] {
  return withoutComments(source)
    .split('\n')
    .filter((line) => /jira|confluence/i.test(line))
}

t.test('No shared code names a product: what it knows of one comes from its descriptor', (t) => {
  t.same(findProductNames("/** jira */\nconst a = 'JIRA' // confluence"), ["const a = 'JIRA'"])
  const files = globSync('{src,plugins,routes}/**/*.ts', { cwd: root })
  t.ok(files.length > 100)
  for (const file of files.filter((each) => !EXEMPT.some(([pattern]) => pattern.test(each)))) {
    t.same(findProductNames(readFileSync(root + file, 'utf8')), [], file)
  }
  for (const [pattern, reason] of EXEMPT) {
    t.ok(
      files.some(
        (each) =>
          pattern.test(each) && findProductNames(readFileSync(root + each, 'utf8')).length > 0
      ),
      `the exemption is needed: ${reason}`
    )
  }
  t.end()
})
