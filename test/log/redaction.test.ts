import t from 'tap'
import { createLogger } from '../../src/lib/logger.ts'
import { buildTestApp } from '../helper.ts'

const SECRET_NAMES = [
  'code',
  'state',
  'token',
  'access_token',
  'refresh_token',
  'id_token',
  'client_secret',
  'authorization',
  'cookie',
  'set-cookie'
]
const SECRET_VALUE = 'pl4nted-Value.42~x'

function createCapturingLogger() {
  const lines: string[] = []
  const { logger, redactValue: hide } = createLogger({
    write: (line) => {
      lines.push(line)
    }
  })
  logger.level = 'trace'
  return { logger, hide, lines, last: () => lines.at(-1) ?? '' }
}

/** The usual spellings of one name. */
function listSpellings(name: string): string[] {
  const words = name.split(/[_-]/)
  const camel = words
    .map((word, i) => (i === 0 ? word : word[0]?.toUpperCase() + word.slice(1)))
    .join('')
  return [
    ...new Set([
      name,
      name.toUpperCase(),
      words.join('-'),
      words.join('_'),
      camel,
      camel[0]?.toUpperCase() + camel.slice(1),
      words.map((word) => word[0]?.toUpperCase() + word.slice(1)).join('-')
    ])
  ]
}

t.test('B10 Redacts every listed name as a key, in any spelling, depth and kind of value', (t) => {
  const { logger, last } = createCapturingLogger()
  for (const name of SECRET_NAMES.flatMap(listSpellings)) {
    const values: unknown[] = [
      SECRET_VALUE,
      [SECRET_VALUE],
      { deep: SECRET_VALUE },
      [[{ deep: [SECRET_VALUE] }]],
      { toJSON: () => SECRET_VALUE },
      Object.assign(Object.create(null), { a: SECRET_VALUE })
    ]
    for (const value of values) {
      const shapes: object[] = [
        { [name]: value },
        { a: { [name]: value } },
        { a: [{ b: { c: [{ [name]: value }] } }] },
        { query_params: { [name]: value } },
        { headers: { [name]: value } },
        { err: Object.assign(new Error('x'), { [name]: value }) },
        { err: new Error('x', { cause: { [name]: value } }) },
        { list: [1, [2, [{ [name]: value }]]] },
        new Map([[name, value]])
      ]
      for (const shape of shapes) {
        logger.info(shape)
        t.notOk(last().includes(SECRET_VALUE), `${name} in ${last().slice(90, 200)}`)
      }
    }
    logger.child({ [name]: SECRET_VALUE }).info('child')
    t.notOk(last().includes(SECRET_VALUE), `${name} in a child's bindings`)
  }
  t.end()
})

t.test('B10 Redacts every listed name inside URLs and text', (t) => {
  const { logger, last } = createCapturingLogger()
  for (const name of SECRET_NAMES) {
    for (const written of listSpellings(name)) {
      const texts = [
        `https://a.example/cb?${written}=${SECRET_VALUE}`,
        `https://a.example/cb?x=1&${written}=${SECRET_VALUE}&y=2`,
        `https://a.example/cb#${written}=${SECRET_VALUE}`,
        `/cb?${written}=${SECRET_VALUE}`,
        `${written}=${SECRET_VALUE}`,
        `failed: ${written}=${SECRET_VALUE} (400)`,
        `{"${written}":"${SECRET_VALUE}"}`,
        `{"${written}" : "${SECRET_VALUE}"}`,
        `{'${written}': '${SECRET_VALUE}'}`,
        JSON.stringify(JSON.stringify({ [written]: SECRET_VALUE })),
        `return_url=${encodeURIComponent(`https://a.example/?${written}=${SECRET_VALUE}`)}`,
        `${written}%3D${SECRET_VALUE}`,
        `${written}: ${SECRET_VALUE}`
      ]
      // Prose about a code or a state is not a secret; header lines are.
      const applies = ['authorization', 'cookie', 'set-cookie'].includes(name)
        ? texts
        : texts.slice(0, -1)
      for (const text of applies) {
        const fields: object[] = [
          { text },
          { deep: [{ text }] },
          { err: new Error(text) },
          { err: new Error('outer', { cause: new Error(text) }) },
          { [text]: 1 }
        ]
        for (const shape of fields) {
          logger.info(shape)
          t.notOk(
            last().includes(SECRET_VALUE),
            `${text} in ${Object.keys(shape)[0]?.slice(0, 10)}`
          )
        }
        logger.info(text)
        t.notOk(last().includes(SECRET_VALUE), `${text} as the message`)
        logger.info('a %s b', text)
        t.notOk(last().includes(SECRET_VALUE), `${text} as an argument`)
      }
    }
  }
  logger.info({ url: new URL(`https://a.example/?code=${SECRET_VALUE}`) })
  t.notOk(last().includes(SECRET_VALUE), 'a URL object')
  logger.info(new Error(`GET /cb?code=${SECRET_VALUE}`))
  t.notOk(last().includes(SECRET_VALUE), 'a bare error')
  t.end()
})

t.test('B10 Redacts credentials and tokens by their format', (t) => {
  const { logger, last } = createCapturingLogger()
  const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.pl4nted-signature_x'
  for (const text of [
    `Bearer ${SECRET_VALUE}`,
    `bearer  ${SECRET_VALUE}`,
    `Basic ${SECRET_VALUE}`,
    `Authorization: Bearer ${SECRET_VALUE}`,
    `-H 'authorization: Bearer ${SECRET_VALUE}'`,
    `Bearer%20${SECRET_VALUE}`,
    jwt,
    `token was ${jwt}.`,
    `<${jwt}>`,
    jwt.slice(0, 40)
  ]) {
    logger.info({ text, deep: [[text]] }, text)
    t.notMatch(last(), /pl4nted|eyJ/, text)
  }
  t.end()
})

t.test('B10 Redacts a configured secret in every encoding a line might contain', (t) => {
  const { logger, hide, last } = createCapturingLogger()
  const secret = 'ab+/="\\cd\u00e9 planted secret'
  hide(secret)
  const bytes = Buffer.from(secret)
  const forms = [
    secret,
    encodeURIComponent(secret),
    bytes.toString('base64'),
    bytes.toString('base64url'),
    bytes.toString('hex'),
    JSON.stringify(secret)
  ]
  for (const form of forms) {
    logger.info({ note: `before ${form} after`, [`key ${form}`]: [form] }, form)
    for (const other of forms) t.notOk(last().includes(other), other)
    t.ok(last().includes('[redacted]'))
    t.doesNotThrow(() => JSON.parse(last()), 'the line stays valid JSON')
  }
  t.end()
})

t.test('Leaves values that are not secret readable', (t) => {
  const { logger, last } = createCapturingLogger()
  logger.info(
    {
      event: 'x',
      status_code: 200,
      error_code: 'access_denied',
      state_of_things: 'fine',
      tokens_left: 3,
      key: 'PAY',
      scope: 'read:jira-work',
      note: 'The code was refused.',
      encoding: 'utf-8'
    },
    'The state of the token is good'
  )
  t.match(JSON.parse(last()), {
    status_code: 200,
    error_code: 'access_denied',
    state_of_things: 'fine',
    tokens_left: 3,
    key: 'PAY',
    scope: 'read:jira-work',
    note: 'The code was refused.',
    encoding: 'utf-8',
    message: 'The state of the token is good'
  })
  t.end()
})

t.test('LOG_LEVEL accepts the names of the original and of pino, in any case', async (t) => {
  for (const [configuredLevel, level] of Object.entries({
    DEBUG: 'debug',
    debug: 'debug',
    Info: 'info',
    INFO: 'info',
    warning: 'warn',
    WARN: 'warn',
    Error: 'error',
    CRITICAL: 'fatal',
    critical: 'fatal',
    fatal: 'fatal',
    trace: 'trace',
    SILENT: 'silent',
    ' info ': 'info'
  })) {
    const { app } = await buildTestApp(t, { LOG_LEVEL: configuredLevel })
    t.equal(app.log.level, level, configuredLevel)
  }
  const { app, lines } = await buildTestApp(t, { LOG_LEVEL: 'warning' })
  await app.inject('/users')
  t.same(lines(), [], 'an ordinary request says nothing above INFO')
})

t.test(
  'A parameter whose name and value imitate a secret in prose keeps the line valid JSON',
  (t) => {
    const lines: string[] = []
    const { logger } = createLogger({
      write: (line) => {
        lines.push(line)
      }
    })
    for (const name of ['refresh_token:', 'id_token: ', 'client_secret:"', "access_token:'", 'a']) {
      for (const value of [
        '1',
        'id_token: ',
        ['refresh_token:', 'x'],
        '"refresh_token: "',
        '\u0001'.repeat(1_900)
      ]) {
        logger.info({
          event: 'probe',
          query_params: {
            [name]: value,
            more: '\u0001'.repeat(1_900),
            again: '\u0001'.repeat(1_900)
          }
        })
      }
    }
    t.equal(lines.length, 25)
    for (const line of lines) t.match(JSON.parse(line), { event: 'probe' })
    t.end()
  }
)
