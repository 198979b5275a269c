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
  isConditional: boolean
}

/** Ids stand in front of a title, each with or without a colon: `A6: T22: a callback …`. */
const ID_PATTERN = /(?:[A-E]\d{1,2}|T\d{2})\b:?\s+/y
const REPOSITORY_ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** Every test that names what it proves, in the order of files and lines. One that is always left out proves nothing. */
export function findProofs(): Proof[] {
  const files = globSync('test/**/*.ts', { cwd: REPOSITORY_ROOT })
    .map((file) => file.replaceAll('\\', '/'))
    .sort()
  return files.flatMap((file) =>
    findProofsInFile(file, readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8'))
  )
}

export function findProofsInFile(file: string, source: string): Proof[] {
  const fileProofs: Proof[] = []
  const visit = (node: ts.Node): void => {
    if (isTestCall(node)) {
      const { ids, title } = splitTitle(getTitleText(node.arguments[0]) ?? '')
      const runs = getRunPolicy(node.arguments[1])
      if (ids.length > 0 && runs !== 'never') {
        fileProofs.push({ file, title, ids, isConditional: runs === 'sometimes' })
      }
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(file, source, ts.ScriptTarget.Latest))
  return fileProofs
}

/** `t.test(…)`: what is called `t` is tap's, and nothing else here. */
function isTestCall(node: ts.Node): node is ts.CallExpression {
  return (
    ts.isCallExpression(node) &&
    ts.isPropertyAccessExpression(node.expression) &&
    node.expression.name.text === 'test' &&
    ts.isIdentifier(node.expression.expression) &&
    node.expression.expression.text === 't'
  )
}

function getTitleText(node: ts.Expression | undefined): string | undefined {
  if (node === undefined) return undefined
  if (ts.isStringLiteralLike(node)) return node.text
  if (ts.isTemplateExpression(node)) {
    return node.head.text + node.templateSpans.map(({ literal }) => `…${literal.text}`).join('')
  }
  return undefined
}

function splitTitle(text: string): { ids: string[]; title: string } {
  const ids: string[] = []
  let titleStart = 0
  for (ID_PATTERN.lastIndex = 0; ;) {
    const [id] = ID_PATTERN.exec(text) ?? []
    if (id === undefined) return { ids, title: text.slice(titleStart) }
    ids.push(id.replace(/:?\s+$/, ''))
    titleStart = ID_PATTERN.lastIndex
  }
}

/** What the options of a test say about leaving it out. */
function getRunPolicy(options: ts.Expression | undefined): 'always' | 'sometimes' | 'never' {
  if (options === undefined || !ts.isObjectLiteralExpression(options)) return 'always'
  const option = options.properties.find(
    ({ name }) => name !== undefined && ts.isIdentifier(name) && /^(skip|todo)$/.test(name.text)
  )
  if (option === undefined) return 'always'
  if (!ts.isPropertyAssignment(option)) return 'sometimes'
  const { initializer } = option
  if (initializer.kind === ts.SyntaxKind.FalseKeyword) return 'always'
  return initializer.kind === ts.SyntaxKind.TrueKeyword || ts.isStringLiteralLike(initializer)
    ? 'never'
    : 'sometimes'
}
