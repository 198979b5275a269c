import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createContext, Script } from 'node:vm'
import ts from 'typescript'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const FOLDERS = ['src', 'routes', 'plugins']

export interface Pattern {
  where: string
  regex: RegExp
}

/** Every regular expression in the service's own code: literals, `new RegExp('…')` and the `pattern` of a schema. */
export function patterns(): Pattern[] {
  return FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.[jt]s$/.test(name))
      .flatMap((name) => found(`${folder}/${name}`, readFileSync(join(ROOT, folder, name), 'utf8')))
  )
}

function found(file: string, text: string): Pattern[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
  const all: Pattern[] = []
  const keep = (node: ts.Node, pattern: string, flags = '') => {
    all.push({
      where: `${file}:${source.getLineAndCharacterOfPosition(node.getStart()).line + 1}`,
      regex: new RegExp(pattern, flags)
    })
  }
  const visit = (node: ts.Node): void => {
    if (ts.isRegularExpressionLiteral(node)) {
      keep(
        node,
        node.text.slice(1, node.text.lastIndexOf('/')),
        node.text.slice(node.text.lastIndexOf('/') + 1)
      )
    }
    if (ts.isNewExpression(node) && node.expression.getText() === 'RegExp') {
      const [pattern, flags] = node.arguments ?? []
      // Pieces that are put in at run time are words without quantifiers.
      if (
        pattern !== undefined &&
        (ts.isStringLiteralLike(pattern) || ts.isTemplateExpression(pattern))
      ) {
        keep(
          node,
          words(pattern),
          flags !== undefined && ts.isStringLiteralLike(flags) ? flags.text : ''
        )
      }
    }
    if (
      ts.isPropertyAssignment(node) &&
      node.name.getText() === 'pattern' &&
      ts.isStringLiteralLike(node.initializer)
    ) {
      keep(node, node.initializer.text, 'u')
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return all
}

function words(node: ts.StringLiteralLike | ts.TemplateExpression): string {
  return ts.isTemplateExpression(node)
    ? node.head.text +
        node.templateSpans.map(({ literal }) => `(?:token|code)${literal.text}`).join('')
    : node.text
}

/** Characters to repeat: those of the pattern itself, and one of each kind that classes name. */
function pumps(source: string): string[] {
  const own = [
    ...new Set(source.replace(/\\[pPu]\{[^}]*\}/g, '').replace(/\\[a-zA-Z]/g, ''))
  ].filter((char) => !/[()|^$?{}]/.test(char))
  const singles = [
    ...new Set([
      ...own,
      'a',
      'A',
      '0',
      ' ',
      '\t',
      '\n',
      '.',
      '-',
      '/',
      '%',
      '"',
      '\\',
      '_',
      '=',
      ':',
      '@',
      '\u0001',
      'é',
      '\u0301'
    ])
  ]
  const pairs = [
    'a.',
    '.a',
    'a-',
    '-a',
    '%2',
    '%25',
    '\\"',
    '" ',
    ': ',
    'a=',
    'a,',
    ', ',
    'a ',
    ' a',
    '//',
    '/a',
    '0.',
    '\r\n',
    'eyJ',
    'token:',
    'code=',
    'Bearer ',
    'cookie:',
    'c%25'
  ]
  return [...singles, ...pairs, ...literals(source).flatMap((word) => [word, `${word}>`])]
}

/** What may have to stand before the repetition for a pattern to reach it: its plain words, and its beginnings. */
function starts(source: string): string[] {
  return [
    ...new Set([
      '',
      'a',
      '0',
      '/',
      '"',
      'http://a',
      'a@',
      'eyJaaaaaaaaa',
      'Bearer ',
      'code=',
      'token: ',
      'cookie: ',
      ...literals(source)
    ])
  ]
}

/** The plain words of a pattern. */
function literals(source: string): string[] {
  return source.replace(/\\([^a-zA-Z0-9])/g, '$1').match(/[\w/.:@=%"'<![-]{2,}/g) ?? []
}

/**
 * The longest that a pattern takes, in milliseconds, for texts of that length which repeat something and then do not
 * match; and the text it was. More than `mostMs` ends the search: `Infinity` where one text alone takes longer than a second.
 */
export function slowest(
  { regex }: Pattern,
  length: number,
  mostMs: number
): { ms: number; text: string } {
  const context = createContext({
    text: '',
    regex: new RegExp(regex.source, regex.flags.replace('g', ''))
  })
  const script = new Script('regex.lastIndex = 0; regex.exec(text)')
  let worst = { ms: 0, text: '' }
  for (const start of starts(regex.source)) {
    for (const pump of pumps(regex.source)) {
      for (const end of ['\u0001', '!\n']) {
        const timed = (): number => {
          const begun = performance.now()
          try {
            script.runInContext(context, { timeout: 1_000 })
            return performance.now() - begun
          } catch {
            return Infinity
          }
        }
        context.text = start + pump.repeat(Math.ceil(length / pump.length)).slice(0, length) + end
        let ms = timed()
        // Once more where somebody else may have taken the time.
        for (let again = 0; ms > mostMs && ms < Infinity && again < 3; again++) {
          ms = Math.min(ms, timed())
        }
        if (ms > worst.ms) {
          worst = {
            ms,
            text: `${JSON.stringify(start)} ${JSON.stringify(pump)}× ${JSON.stringify(end)}`
          }
        }
        if (ms > mostMs) return worst
      }
    }
  }
  return worst
}
