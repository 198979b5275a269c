import t from 'tap'
import { createLogger } from '../../src/lib/logger.ts'
import { createRandom, chooseSeed as seedOfThisRun } from '../fixtures/prng.ts'

const ROUND_COUNT = process.env.HEAVY === '1' ? 10_000 : 2_000
const MAX_LINE_BYTES = 16 * 1024
const randomSeed = seedOfThisRun()
const random = createRandom(randomSeed)
const pickRandom = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T

class ThrowingToJson {
  toJSON() {
    throw new Error('toJSON')
  }
}
class ThrowingGetter {
  #hidden = 1
  visible = 2
  get broken() {
    throw new Error(`getter ${this.#hidden}`)
  }
}

const createCyclic = () => {
  const a: Record<string, unknown> = { name: 'a' }
  a.self = a
  a.list = [a, { a }]
  return a
}
const createThrowingGetter = () =>
  Object.defineProperty({ fine: 1 }, 'broken', {
    enumerable: true,
    get() {
      throw new Error('getter')
    }
  })
const createProxy = (traps: ProxyHandler<object>) => new Proxy({ a: 1 }, traps)
const throwError = () => {
  throw new Error('trap')
}
const BIG_TEXT = 'x'.repeat(10 * 1024 * 1024)

/** Values that are hard to serialize. */
const LEAF_FACTORIES: Array<() => unknown> = [
  () => Buffer.from('pl4nted'),
  () => Buffer.alloc(100_000),
  () => new URL('https://a.example/?x=1'),
  () => new URLSearchParams('a=1'),
  () => new Response('body'),
  () => new Request('https://a.example/'),
  () => new Headers({ a: '1' }),
  createCyclic,
  createThrowingGetter,
  () => createProxy({ get: throwError }),
  () => createProxy({ ownKeys: throwError }),
  () => createProxy({ getPrototypeOf: throwError }),
  () => createProxy({ getOwnPropertyDescriptor: throwError }),
  () =>
    createProxy({
      has: throwError,
      get: throwError,
      ownKeys: throwError,
      getPrototypeOf: throwError
    }),
  () => {
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    return proxy
  },
  () => 1n,
  () => 10n ** 400n,
  () => Symbol('s'),
  () => ({ [Symbol('key')]: 1 }),
  () => BIG_TEXT,
  () => '😀'.repeat(20_000),
  () => '\u0000\u001f\u2028\u2029\ud800"\\'.repeat(3_000),
  () => '\ud83d',
  () =>
    new Map<unknown, unknown>([
      [{}, 1],
      ['a', new Map()]
    ]),
  () => new Set([1, new Set([2])]),
  () => new WeakMap(),
  () => new ThrowingToJson(),
  () => new ThrowingGetter(),
  () => new Date(NaN),
  () => new Date(),
  () => new Date(8.64e15),
  // eslint-disable-next-line no-sparse-arrays
  () => [1, , 3],
  () => new Array(1_000_000),
  () => Array.from({ length: 5_000 }, (_, i) => ({ i })),
  () => Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`key${i}`, 'v'.repeat(50)])),
  () => {
    let deep: unknown = 1
    for (let i = 0; i < 20_000; i++) deep = { deep }
    return deep
  },
  () => {
    let deep: unknown = 1
    for (let i = 0; i < 5_000; i++) deep = [deep]
    return deep
  },
  () => NaN,
  () => Infinity,
  () => -0,
  () => undefined,
  () => null,
  () => true,
  () => () => 1,
  () => class A {},
  () => Object.create(null),
  () => new Proxy(() => 1, { apply: throwError }),
  () => /re/g,
  () => Promise.resolve(1),
  () => new Error('plain'),
  () => Object.assign(new Error('with', { cause: createCyclic() }), { code: 'E', status: 400 }),
  () => {
    const e = new Error('self')
    e.cause = e
    return e
  },
  () => new AggregateError([new Error('a'), 1], 'many'),
  () => Object.defineProperty(new Error('x'), 'message', { get: throwError }),
  () => Object.defineProperty(new Error('x'), 'stack', { get: throwError }),
  () => Object.assign(new Error('x'), { stack: { toString: throwError } }),
  () => Object.assign(new Error('x'), { name: Symbol('n') }),
  () => Object.assign(new Error('m'.repeat(100_000)), { code: BIG_TEXT }),
  () => new Uint8Array(1000),
  () => new ArrayBuffer(8),
  () => new SharedArrayBuffer(8),
  () => new DataView(new ArrayBuffer(8)),
  () => new Float64Array([NaN]),
  () => globalThis,
  () => process.versions,
  () => new ReadableStream(),
  () => new AbortController().signal,
  () => ({ toJSON: 'not a function' }),
  () => ({ then: throwError }),
  () => ({ constructor: null, hasOwnProperty: 1 }),
  () => JSON.parse('{"__proto__":{"polluted":1}}'),
  () => ({ __proto__: null, a: 1 }),
  () => Object('boxed'),
  () => Object(1n),
  () => new (class extends Array {})(),
  () => new Intl.NumberFormat(),
  () => ({ toString: throwError, valueOf: throwError, [Symbol.toPrimitive]: throwError }),
  () => function* () {},
  () => [BIG_TEXT, BIG_TEXT],
  () => ({ [BIG_TEXT]: 1 }),
  () => ({ '\n{"level":"fatal"}': '\r\n{"level":"fatal"}' })
]

function createRandomValue(depth = 0): unknown {
  const kind = depth > 4 ? 1 : random()
  if (kind < 0.2) {
    return Array.from({ length: Math.floor(random() * 6) }, () => createRandomValue(depth + 1))
  }
  if (kind < 0.5) {
    return Object.fromEntries(
      Array.from({ length: Math.floor(random() * 6) }, () => [
        pickRandom([
          'a',
          'err',
          'level',
          'timestamp',
          'event',
          'request_id',
          'message',
          'cookie',
          '',
          '\n',
          'toJSON',
          '__proto__',
          'logger',
          'time',
          'stack'
        ]),
        createRandomValue(depth + 1)
      ])
    )
  }
  return pickRandom(LEAF_FACTORIES)()
}

t.test(
  `B11 E8 Logs ${ROUND_COUNT} random values (SEED=${randomSeed}) as one JSON line each, at most 16 KiB`,
  (t) => {
    const lines: string[] = []
    const { logger } = createLogger({
      write: (line) => {
        lines.push(line)
      }
    })
    logger.level = 'trace'
    const log = (call: () => void, what: string) => {
      lines.length = 0
      try {
        call()
      } catch (error) {
        t.fail(`${what}: threw ${String(error).slice(0, 200)}`)
      }
      const [line = ''] = lines
      const reasons = [
        lines.length === 1 ? '' : `${lines.length} lines`,
        Buffer.byteLength(line) <= MAX_LINE_BYTES ? '' : `${Buffer.byteLength(line)} bytes`,
        line.endsWith('\n') && line.indexOf('\n') === line.length - 1 && !line.includes('\r')
          ? ''
          : 'a line break inside'
      ]
      try {
        const parsed = JSON.parse(line) as Record<string, unknown>
        if (
          typeof parsed.level !== 'string' ||
          typeof parsed.timestamp !== 'string' ||
          typeof parsed.event !== 'string' ||
          typeof parsed.logger !== 'string'
        ) {
          reasons.push('without level, timestamp, logger or event')
        }
      } catch {
        reasons.push('not JSON')
      }
      const wrong = reasons.filter(Boolean)
      if (wrong.length > 0) t.fail(`${what}: ${wrong.join(', ')}: ${line.slice(0, 300)}`)
    }
    for (const [i, leaf] of LEAF_FACTORIES.entries()) {
      log(() => logger.info(leaf() as object), `thing ${i}`)
      log(() => logger.info({ field: leaf() }), `thing ${i} in a field`)
      log(() => logger.error({ err: leaf() }), `thing ${i} as err`)
      log(() => logger.child({ bound: leaf() }).info('x'), `thing ${i} in bindings`)
      log(
        () =>
          logger.info(
            '%s %d %j %o',
            ...([leaf(), leaf(), leaf(), leaf()] as [string, number, object, object])
          ),
        `thing ${i} as arguments`
      )
    }
    for (let i = 0; i < ROUND_COUNT; i++) {
      const thing = createRandomValue()
      if (random() < 0.5) {
        log(
          () => logger.info(thing as object, pickRandom(['', 'message', '%s', 'a\nb'])),
          `round ${i}`
        )
      } else log(() => logger.warn({ event: 'x', thing }), `round ${i} in a field`)
    }
    t.pass('nothing happened')
    t.end()
  }
)

t.test(
  'E8 T19 Hostile values never add a second line, and a truncated line keeps its identifying fields',
  (t) => {
    const lines: string[] = []
    const { logger } = createLogger({
      write: (line) => {
        lines.push(line)
      }
    })
    const hostile = [
      '\n',
      '\r\n',
      '\u2028',
      '\u2029',
      '\u0085',
      '\u001b[2J',
      '\0',
      '"}\n{"level":"fatal"',
      '\\n\n',
      '\ud800\n'
    ]
    for (const text of hostile) {
      logger.info({ event: text, [text]: text, deep: [text], err: new Error(text) }, text)
      logger.child({ request_id: 'r', path: text }).info(text)
    }
    t.equal(lines.length, 2 * hostile.length)
    t.ok(
      lines.every(
        (line) =>
          line.split('\n').length === 2 &&
          line.endsWith('\n') &&
          !['\r', '\0', '\u001b'].some((control) => line.includes(control))
      )
    )
    for (const line of lines) t.doesNotThrow(() => JSON.parse(line))
    lines.length = 0
    logger
      .child({ request_id: 'find-me' })
      .warn({ event: 'long', list: Array.from({ length: 50 }, () => '\u0001'.repeat(2_000)) })
    t.match(JSON.parse(lines[0] ?? ''), {
      level: 'warn',
      event: 'long',
      request_id: 'find-me',
      logger: 'connector',
      timestamp: /^\d{4}-\d\d-\d\dT[\d:.]+Z$/
    })
    t.end()
  }
)
