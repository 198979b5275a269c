import { pino, type Logger } from 'pino'
import type { LineSink } from '../app-options.ts'
import { plain, redactText, sanitize, variants, without } from './redact.ts'

/** No line is longer than this, whatever is thrown at the logger. */
const LONGEST_LINE_BYTES = 16 * 1024
const LONGEST_NAME = 200
const STUB = `${JSON.stringify({ level: 'warn', logger: 'connector', event: 'log', cut: true })}\n`

/**
 * The service's logger: one JSON object a line (contract.md section 6).
 *
 * Secrets are kept out three times: objects are rebuilt by `sanitize`, which drops the values of secret keys at any
 * depth; text is searched for secret parameters and tokens; and the finished line is searched for the configured secrets
 * themselves, so that a mistake in the first two still prints nothing.
 *
 * @returns the logger, and `hide`, which names a value that must never be printed
 */
export function createLogger(sink: LineSink): { logger: Logger; hide: (secret: string) => void } {
  const hidden = new Set<string>()
  const logger = pino(
    {
      base: { logger: 'connector' },
      messageKey: 'message',
      timestamp: () => `,"timestamp":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      // Before pino touches anything: it would call getters and traps that throw.
      hooks: {
        logMethod(args, write) {
          write.apply(this, harmless(args, hidden))
        }
      },
      serializers: { err: (error) => error }
    },
    {
      write(line: string) {
        const clean = without(hidden, redactText(line))
        if (clean !== line && !isJson(clean)) return sink.write(STUB)
        sink.write(
          clean.length > LONGEST_LINE_BYTES / 3 && Buffer.byteLength(clean) > LONGEST_LINE_BYTES
            ? shortened(clean)
            : clean
        )
      }
    }
  )
  return {
    logger,
    hide: (secret) => {
      for (const form of variants(secret)) hidden.add(form)
    }
  }
}

/** The same call with plain, bounded values; what every line has of its own cannot be replaced. */
function harmless(
  [first, ...rest]: unknown[],
  hidden: ReadonlySet<string>
): [object, string | undefined, ...string[]] {
  const given = typeof first === 'object' && first !== null
  const { event, ...fields } = given ? sanitize(first, hidden) : {}
  for (const name of ['level', 'timestamp', 'logger']) delete fields[name]
  const [message, ...values] = given ? rest : [first, ...rest]
  return [
    { event: typeof event === 'string' ? event : 'log', ...fields },
    message === undefined ? undefined : words(message, hidden),
    ...values.map((value) => words(value, hidden))
  ]
}

function words(value: unknown, hidden: ReadonlySet<string>): string {
  const shown = plain(value, hidden)
  return typeof shown === 'string' ? shown : (JSON.stringify(shown) ?? 'undefined')
}

/** A secret across a boundary of the line's own syntax: then it is only said that there was a line. */
function isJson(line: string): boolean {
  try {
    JSON.parse(line)
    return true
  } catch {
    return false
  }
}

/** What is left of a line that would be too long: enough to find its neighbours. */
function shortened(line: string): string {
  const fields = JSON.parse(line) as Record<string, unknown>
  const kept = ['level', 'timestamp', 'logger', 'event', 'request_id'].flatMap((name) =>
    typeof fields[name] === 'string' ? [[name, fields[name].slice(0, LONGEST_NAME)]] : []
  )
  return JSON.stringify({ ...Object.fromEntries(kept), cut: true }) + '\n'
}
