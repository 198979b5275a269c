import { pino, type Logger } from 'pino'
import type { LogDestination } from '../app-options.ts'
import { toPlainValue, redactText, sanitize, getEncodedForms, removeSecrets } from './redact.ts'

/** No line is longer than this, whatever is thrown at the logger. */
const MAX_LINE_BYTES = 16 * 1024
const MAX_FIELD_CHARS = 200
const TRUNCATED_LINE = `${JSON.stringify({ level: 'warn', logger: 'connector', event: 'log', cut: true })}\n`

/**
 * The service's logger: one JSON object a line (docs/reference/contract.md#6-request-ids-and-logs).
 *
 * Secrets are kept out three times: objects are rebuilt by `sanitize`, which drops the values of
 * secret keys at any depth; text is searched for secret parameters and tokens; and the finished
 * line is searched for the configured secrets themselves, so that a mistake in the first two still
 * prints nothing.
 *
 * @returns the logger, and `hide`, which names a value that must never be printed
 */
export function createLogger(destination: LogDestination): {
  logger: Logger
  redactValue: (secret: string) => void
} {
  const secrets = new Set<string>()
  const logger = pino(
    {
      base: { logger: 'connector' },
      messageKey: 'message',
      timestamp: () => `,"timestamp":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      // Before pino touches anything: it would call getters and traps that throw.
      hooks: {
        logMethod(args, write) {
          write.apply(this, sanitizeArgs(args, secrets))
        }
      },
      serializers: { err: (error) => error }
    },
    {
      write(line: string) {
        const redacted = removeSecrets(secrets, redactText(line))
        if (redacted !== line && !isJson(redacted)) return destination.write(TRUNCATED_LINE)
        destination.write(
          redacted.length > MAX_LINE_BYTES / 3 && Buffer.byteLength(redacted) > MAX_LINE_BYTES
            ? truncateLine(redacted)
            : redacted
        )
      }
    }
  )
  return {
    logger,
    redactValue: (secret) => {
      for (const form of getEncodedForms(secret)) secrets.add(form)
    }
  }
}

/** The same call with plain, bounded values; what every line has of its own cannot be replaced. */
function sanitizeArgs(
  [first, ...rest]: unknown[],
  secrets: ReadonlySet<string>
): [object, string | undefined, ...string[]] {
  const hasFields = typeof first === 'object' && first !== null
  const { event, ...fields } = hasFields ? sanitize(first, secrets) : {}
  for (const name of ['level', 'timestamp', 'logger']) delete fields[name]
  const [message, ...values] = hasFields ? rest : [first, ...rest]
  return [
    { event: typeof event === 'string' ? event : 'log', ...fields },
    message === undefined ? undefined : toMessage(message, secrets),
    ...values.map((value) => toMessage(value, secrets))
  ]
}

function toMessage(value: unknown, secrets: ReadonlySet<string>): string {
  const plainValue = toPlainValue(value, secrets)
  return typeof plainValue === 'string' ? plainValue : (JSON.stringify(plainValue) ?? 'undefined')
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
function truncateLine(line: string): string {
  const fields = JSON.parse(line) as Record<string, unknown>
  const entries = ['level', 'timestamp', 'logger', 'event', 'request_id'].flatMap((name) =>
    typeof fields[name] === 'string' ? [[name, fields[name].slice(0, MAX_FIELD_CHARS)]] : []
  )
  return JSON.stringify({ ...Object.fromEntries(entries), cut: true }) + '\n'
}
