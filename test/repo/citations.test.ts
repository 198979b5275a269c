import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const CODE = ['src', 'plugins', 'routes', 'drizzle', 'scripts', 'bench', 'test']
const text = (path: string) => readFileSync(join(ROOT, path), 'utf8')

function filesIn(folder: string, ending: RegExp): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => ending.test(path))
    .map((path) => join(folder, path))
}

const sources = CODE.flatMap((folder) => filesIn(folder, /\.[jt]s$/))
const documents = [
  'README.md',
  'SECURITY.md',
  'CHANGELOG.md',
  'bench/README.md',
  ...filesIn('docs', /\.md$/)
]

/** The anchors of a document, as GitHub derives them from its headings. */
function anchorsOf(path: string): Set<string> {
  const headings = text(path)
    .replace(/^```[\s\S]*?^```/gm, '')
    .matchAll(/^#+ (.+)$/gm)
  return new Set(
    [...headings].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N}_\- ]/gu, '')
        .replaceAll(' ', '-')
    )
  )
}

/** Why a reference does not open; undefined if it does. */
function findFault(path: string, anchor: string | undefined): string | undefined {
  if (!existsSync(join(ROOT, path))) return `${path} does not exist`
  if (anchor === undefined || anchorsOf(path).has(anchor)) return undefined
  return `${path} has no heading #${anchor}`
}

t.test('Every citation of a document in code names a file and a heading that exist', (t) => {
  let count = 0
  for (const source of sources) {
    const citations = text(source).matchAll(
      /(?<![\w/.])(docs\/[\w/-]+\.md)(#[\w-]+(?:(?:,| and)\s[\s*/]*#[\w-]+)*)?/g
    )
    for (const [, path = '', anchors = ''] of citations) {
      const names = [...anchors.matchAll(/#([\w-]+)/g)].map(([, name]) => name)
      for (const name of names.length === 0 ? [undefined] : names) {
        count++
        t.equal(findFault(path, name), undefined, source)
      }
    }
  }
  t.ok(count > 50, 'citations were found')
  t.end()
})

t.test('No code cites a document without its folder, or a section by number', (t) => {
  for (const source of sources) {
    if (source === 'test/repo/citations.test.ts') continue
    t.notMatch(
      text(source),
      /(?<![\w/-])(atlassian|contract|promises|style|conventions)\.md/,
      source
    )
  }
  t.end()
})

t.test('Every link in a document leads to a file and a heading that exist', (t) => {
  for (const document of documents) {
    for (const [, target = ''] of text(document).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue
      const [file = '', anchor] = target.split('#')
      const path = file === '' ? document : join(dirname(document), file)
      t.equal(findFault(path, path.endsWith('.md') ? anchor : undefined), undefined, document)
    }
  }
  t.end()
})

t.test('Every file that a document names exists', (t) => {
  const path = /`((?:src|plugins|routes|drizzle|scripts|test|bench|docs)\/[\w./-]+)`/g
  for (const document of documents) {
    for (const [, name = ''] of text(document).matchAll(path)) {
      const isThere = ['', '.ts', '.js'].some((ending) => existsSync(join(ROOT, name + ending)))
      t.ok(isThere, `${document} names ${name}`)
    }
  }
  t.end()
})
