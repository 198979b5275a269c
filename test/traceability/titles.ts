import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

export interface Proof {
  /** From the root of the repository, with slashes. */
  file: string
  /** As it is written, without its ids; what is filled in while it runs shows as `…`. */
  title: string
  ids: string[]
  /** Whether it is left out on machines that lack something. */
  sometimes: boolean
}

/** Ids stand in front of a title, each with or without a colon: `A6: T22: a callback …`. */
const ID = /(?:[A-E]\d{1,2}|T\d{2})\b:?\s+/y
const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** Every test that names what it proves, in the order of files and lines. One that is always left out proves nothing. */
export function proofs(): Proof[] {
  const files = globSync('test/**/*.ts', { cwd: ROOT })
    .map((file) => file.replaceAll('\\', '/'))
    .sort()
  return files.flatMap((file) =>
    proofsIn(file, readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8'))
  )
}

export function proofsIn(file: string, source: string): Proof[] {
  const found: Proof[] = []
  const visit = (node: ts.Node): void => {
    if (isTest(node)) {
      const { ids, title } = split(textOf(node.arguments[0]) ?? '')
      const runs = runsOf(node.arguments[1])
      if (ids.length > 0 && runs !== 'never') {
        found.push({ file, title, ids, sometimes: runs === 'sometimes' })
      }
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(file, source, ts.ScriptTarget.Latest))
  return found
}

/** `t.test(…)`: what is called `t` is tap's, and nothing else here. */
function isTest(node: ts.Node): node is ts.CallExpression {
  return (
    ts.isCallExpression(node) &&
    ts.isPropertyAccessExpression(node.expression) &&
    node.expression.name.text === 'test' &&
    ts.isIdentifier(node.expression.expression) &&
    node.expression.expression.text === 't'
  )
}

function textOf(node: ts.Expression | undefined): string | undefined {
  if (node === undefined) return undefined
  if (ts.isStringLiteralLike(node)) return node.text
  if (ts.isTemplateExpression(node)) {
    return node.head.text + node.templateSpans.map(({ literal }) => `…${literal.text}`).join('')
  }
  return undefined
}

function split(text: string): { ids: string[]; title: string } {
  const ids: string[] = []
  let at = 0
  for (ID.lastIndex = 0; ;) {
    const [id] = ID.exec(text) ?? []
    if (id === undefined) return { ids, title: text.slice(at) }
    ids.push(id.replace(/:?\s+$/, ''))
    at = ID.lastIndex
  }
}

/** What the options of a test say about leaving it out. */
function runsOf(options: ts.Expression | undefined): 'always' | 'sometimes' | 'never' {
  if (options === undefined || !ts.isObjectLiteralExpression(options)) return 'always'
  const left = options.properties.find(
    ({ name }) => name !== undefined && ts.isIdentifier(name) && /^(skip|todo)$/.test(name.text)
  )
  if (left === undefined) return 'always'
  if (!ts.isPropertyAssignment(left)) return 'sometimes'
  const { initializer } = left
  if (initializer.kind === ts.SyntaxKind.FalseKeyword) return 'always'
  return initializer.kind === ts.SyntaxKind.TrueKeyword || ts.isStringLiteralLike(initializer)
    ? 'never'
    : 'sometimes'
}
