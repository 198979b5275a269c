import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createContext, Script } from 'node:vm'
import ts from 'typescript'
import { pickByScale } from '../auth/helper.ts'

const REPOSITORY_ROOT = fileURLToPath(new URL('../..', import.meta.url))
const SOURCE_FOLDERS = ['src', 'routes', 'plugins']

export interface SourcePattern {
  location: string
  regex: RegExp
}

/**
 * Every regular expression in the service's own code: literals, `new RegExp('…')` and the
 * `pattern` of a schema.
 */
export function findPatterns(): SourcePattern[] {
  return SOURCE_FOLDERS.flatMap((folder) =>
    readdirSync(join(REPOSITORY_ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.[jt]s$/.test(name))
      .flatMap((name) =>
        findPatternsInFile(
          `${folder}/${name}`,
          readFileSync(join(REPOSITORY_ROOT, folder, name), 'utf8')
        )
      )
  )
}

function findPatternsInFile(file: string, text: string): SourcePattern[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
  const all: SourcePattern[] = []
  const addPattern = (node: ts.Node, pattern: string, flags = '') => {
    all.push({
      location: `${file}:${source.getLineAndCharacterOfPosition(node.getStart()).line + 1}`,
      regex: new RegExp(pattern, flags)
    })
  }
  const visit = (node: ts.Node): void => {
    if (ts.isRegularExpressionLiteral(node)) {
      addPattern(
        node,
        node.text.slice(1, node.text.lastIndexOf('/')),
        node.text.slice(node.text.lastIndexOf('/') + 1)
      )
    }
    if (ts.isNewExpression(node) && node.expression.getText() === 'RegExp') {
      const [pattern, flags] = node.arguments ?? []
      // Parts inserted at run time are words without quantifiers.
      if (
        pattern !== undefined &&
        (ts.isStringLiteralLike(pattern) || ts.isTemplateExpression(pattern))
      ) {
        addPattern(
          node,
          toPatternText(pattern),
          flags !== undefined && ts.isStringLiteralLike(flags) ? flags.text : ''
        )
      }
    }
    if (
      ts.isPropertyAssignment(node) &&
      node.name.getText() === 'pattern' &&
      ts.isStringLiteralLike(node.initializer)
    ) {
      addPattern(node, node.initializer.text, 'u')
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return all
}

function toPatternText(node: ts.StringLiteralLike | ts.TemplateExpression): string {
  return ts.isTemplateExpression(node)
    ? node.head.text +
        node.templateSpans.map(({ literal }) => `(?:token|code)${literal.text}`).join('')
    : node.text
}

/** Characters to repeat: those in the pattern, and one of each character class. */
function listPumps(source: string): string[] {
  const ownCharacters = [
    ...new Set(source.replace(/\\[pPu]\{[^}]*\}/g, '').replace(/\\[a-zA-Z]/g, ''))
  ].filter((char) => !/[()|^$?{}]/.test(char))
  const singles = [
    ...new Set([
      ...ownCharacters,
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
  return [...singles, ...pairs, ...extractLiterals(source).flatMap((word) => [word, `${word}>`])]
}

/** Prefixes that let the pattern reach its repetition: its literals and their beginnings. */
function listPrefixes(source: string): string[] {
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
      ...extractLiterals(source)
    ])
  ]
}

/** The literals of a pattern. */
function extractLiterals(source: string): string[] {
  return source.replace(/\\([^a-zA-Z0-9])/g, '$1').match(/[\w/.:@=%"'<![-]{2,}/g) ?? []
}

/** Ends that no pattern expects: both at heavy counts. */
const ENDS = ['\u0001', '!\n'].slice(0, pickByScale(1, 2))

/**
 * The longest match time of a pattern in milliseconds, and its text, over texts of the given
 * length that repeat something and do not match. More than `mostMs` ends the search: `Infinity`
 * if one text takes longer than a second.
 */
export function measureSlowest(
  { regex }: SourcePattern,
  length: number,
  maxMs: number
): { ms: number; text: string } {
  const context = createContext({
    text: '',
    regex: new RegExp(regex.source, regex.flags.replace('g', ''))
  })
  const script = new Script('regex.lastIndex = 0; regex.exec(text)')
  let worst = { ms: 0, text: '' }
  for (const start of listPrefixes(regex.source)) {
    for (const pump of listPumps(regex.source)) {
      for (const end of ENDS) {
        const measureOnce = (): number => {
          const startedAt = performance.now()
          try {
            script.runInContext(context, { timeout: 1_000 })
            return performance.now() - startedAt
          } catch {
            return Infinity
          }
        }
        context.text = start + pump.repeat(Math.ceil(length / pump.length)).slice(0, length) + end
        let ms = measureOnce()
        // Measures again, because another process may have used the processor.
        for (let attempt = 0; ms > maxMs && ms < Infinity && attempt < 3; attempt++) {
          ms = Math.min(ms, measureOnce())
        }
        if (ms > worst.ms) {
          worst = {
            ms,
            text: `${JSON.stringify(start)} ${JSON.stringify(pump)}× ${JSON.stringify(end)}`
          }
        }
        if (ms > maxMs) return worst
      }
    }
  }
  return worst
}
