/** The message is part of the error response. */
export class QueryError extends Error {}

/** One restriction. `now("-2d")` is parsed to the value `now(-2d)`. */
export interface QueryClause {
  field: string
  operator: string
  values: [string, ...string[]]
}

export interface ParsedQuery {
  clauses: QueryClause[]
  order: { field: string; descending: boolean }[]
}

interface QueryToken {
  text: string
  quoted: boolean
}

const TOKEN_PATTERN =
  /\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|(<=|>=|!=|!~|[=<>~(),])|([^\s"'=<>!~(),]+))/y
const OPERATORS = ['=', '!=', '<', '<=', '>', '>=', '~', 'in', 'not in', 'is', 'is not']

/**
 * Parses the supported part of JQL and CQL: restrictions joined by AND, then ORDER BY. Any other
 * syntax is an error.
 */
export function parseQuery(text: string): ParsedQuery {
  const tokens = tokenize(text)
  const clauses: QueryClause[] = []
  let index = 0
  const isNext = (word: string) => {
    const token = tokens[index]
    return token?.quoted === false && token.text.toLowerCase() === word
  }
  const takeToken = () => {
    const token = tokens[index++]
    if (token === undefined) throw new QueryError('Unexpected end of the query.')
    return token
  }
  const takeNext = () => takeToken().text
  const expectWord = (word: string) => {
    if (!isNext(word)) {
      throw new QueryError(`Expecting '${word}' but got '${tokens[index]?.text ?? 'the end'}'.`)
    }
    index++
  }

  function parseOperator(): string {
    const word = takeNext().toLowerCase()
    if (word === 'not' && isNext('in')) return `not ${takeNext().toLowerCase()}`
    if (word === 'is' && isNext('not')) return `is ${takeNext().toLowerCase()}`
    if (!OPERATORS.includes(word)) throw new QueryError(`Expecting operator but got '${word}'.`)
    return word
  }

  function parseValue(): string {
    const { text, quoted } = takeToken()
    if (quoted || !isNext('(')) return text
    index++
    const argument = isNext(')') ? '' : takeNext()
    expectWord(')')
    return `${text.toLowerCase()}(${argument})`
  }

  function parseValues(): QueryClause['values'] {
    expectWord('(')
    const parsed: QueryClause['values'] = [parseValue()]
    while (isNext(',')) {
      index++
      parsed.push(parseValue())
    }
    expectWord(')')
    return parsed
  }

  function parseClause(): QueryClause {
    const field = takeNext().toLowerCase()
    const operator = parseOperator()
    return { field, operator, values: operator.endsWith('in') ? parseValues() : [parseValue()] }
  }

  while (index < tokens.length && !isNext('order')) {
    if (clauses.length > 0) expectWord('and')
    clauses.push(parseClause())
  }
  return { clauses, order: index < tokens.length ? parseOrdering() : [] }

  function parseOrdering(): ParsedQuery['order'] {
    expectWord('order')
    expectWord('by')
    const order: ParsedQuery['order'] = []
    do {
      if (order.length > 0) expectWord(',')
      const field = takeNext().toLowerCase()
      const descending = isNext('desc')
      if (descending || isNext('asc')) index++
      order.push({ field, descending })
    } while (isNext(','))
    const extra = tokens[index]
    if (extra !== undefined) throw new QueryError(`Unexpected '${extra.text}'.`)
    return order
  }
}

function tokenize(text: string): QueryToken[] {
  const tokens: QueryToken[] = []
  const source = text.trim()
  TOKEN_PATTERN.lastIndex = 0
  while (TOKEN_PATTERN.lastIndex < source.length) {
    const from = TOKEN_PATTERN.lastIndex
    const match = TOKEN_PATTERN.exec(source)
    if (match === null) throw new QueryError(`Unexpected character at position ${from + 1}.`)
    const quoted = match[1] ?? match[2]
    tokens.push(
      quoted === undefined
        ? { text: match[3] ?? match[4] ?? '', quoted: false }
        : { text: quoted.replaceAll(/\\(.)/g, '$1'), quoted: true }
    )
  }
  return tokens
}
