import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

export interface Proof {
  /** Relative to the repository's root, with slashes. */
  file: string
  /** The title in the source, without ids; `…` stands for each interpolated value. */
  title: string
  ids: string[]
  /** Whether machines without some capability skip it. */
  isConditional: boolean
}

/** Ids precede a title, each with or without a colon: `A6: T22: a callback …`. */
const ID_PATTERN = /(?:[A-E]\d{1,2}|T\d{2})\b:?\s+/y
const REPOSITORY_ROOT = fileURLToPath(new URL('../../', import.meta.url))

/**
 * Every test that names what it proves, by file and line. A test that is always skipped is no
 * proof.
 */
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

/** `t.test(…)`: only tap's context is called `t` here. */
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

/** Whether the options of a test skip it. */
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
