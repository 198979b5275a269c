/** A sentence for the person who wrote the query. */
export class QueryError extends Error {}

/** One restriction. `now("-2d")` arrives as the value `now(-2d)`. */
export interface Clause {
  field: string
  operator: string
  values: string[]
}

export interface Query {
  clauses: Clause[]
  order: { field: string; descending: boolean }[]
}

interface Token {
  text: string
  quoted: boolean
}

const TOKEN =
  /\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|(<=|>=|!=|!~|[=<>~(),])|([^\s"'=<>!~(),]+))/y
const OPERATORS = ['=', '!=', '<', '<=', '>', '>=', '~', 'in', 'not in', 'is', 'is not']

/** Reads the part of JQL and CQL that is understood here: restrictions joined by AND, then ORDER BY. Anything else is an error. */
export function parseQuery(text: string): Query {
  const tokens = tokenize(text)
  const clauses: Clause[] = []
  let at = 0
  const peek = (word: string) =>
    tokens[at]?.quoted === false && tokens[at].text.toLowerCase() === word
  const take = () => {
    const token = tokens[at++]
    if (token === undefined) throw new QueryError('Unexpected end of the query.')
    return token.text
  }
  const expect = (word: string) => {
    if (!peek(word)) {
      throw new QueryError(`Expecting '${word}' but got '${tokens[at]?.text ?? 'the end'}'.`)
    }
    at++
  }

  function operator(): string {
    const word = take().toLowerCase()
    if (word === 'not' && peek('in')) return `not ${take().toLowerCase()}`
    if (word === 'is' && peek('not')) return `is ${take().toLowerCase()}`
    if (!OPERATORS.includes(word)) throw new QueryError(`Expecting operator but got '${word}'.`)
    return word
  }

  function value(): string {
    const text = take()
    if (tokens[at - 1].quoted || !peek('(')) return text
    at++
    const argument = peek(')') ? '' : take()
    expect(')')
    return `${text.toLowerCase()}(${argument})`
  }

  function values(): string[] {
    expect('(')
    const found = [value()]
    while (peek(',')) {
      at++
      found.push(value())
    }
    expect(')')
    return found
  }

  function clause(): Clause {
    const field = take().toLowerCase()
    const found = operator()
    return { field, operator: found, values: found.endsWith('in') ? values() : [value()] }
  }

  while (at < tokens.length && !peek('order')) {
    if (clauses.length > 0) expect('and')
    clauses.push(clause())
  }
  return { clauses, order: at < tokens.length ? ordering() : [] }

  function ordering(): Query['order'] {
    expect('order')
    expect('by')
    const order: Query['order'] = []
    do {
      if (order.length > 0) expect(',')
      const field = take().toLowerCase()
      const descending = peek('desc')
      if (descending || peek('asc')) at++
      order.push({ field, descending })
    } while (peek(','))
    if (at < tokens.length) throw new QueryError(`Unexpected '${tokens[at].text}'.`)
    return order
  }
}

function tokenize(text: string): Token[] {
  const tokens: Token[] = []
  const source = text.trim()
  TOKEN.lastIndex = 0
  while (TOKEN.lastIndex < source.length) {
    const from = TOKEN.lastIndex
    const match = TOKEN.exec(source)
    if (match === null) throw new QueryError(`Unexpected character at position ${from + 1}.`)
    const quoted = match[1] ?? match[2]
    tokens.push(
      quoted === undefined
        ? { text: match[3] ?? match[4], quoted: false }
        : { text: quoted.replaceAll(/\\(.)/g, '$1'), quoted: true }
    )
  }
  return tokens
}
