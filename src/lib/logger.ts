import { pino, type Logger } from 'pino'
import { instanceId } from './instance-id.ts'
import { toIsoTime } from './iso-time.ts'
import type { LogDestination } from './log-output.ts'
import {
  toPlainValue,
  redactText,
  sanitize,
  getEncodedForms,
  isSuspicious,
  removeSecrets
} from './redact.ts'

/** Upper limit of a log line. */
const MAX_LINE_BYTES = 16 * 1024
const MAX_FIELD_CHARS = 200
/** Longer foreign values are bounded one by one. */
const MAX_PLAIN_CHARS = 1_000
const TRUNCATED_LINE = `${JSON.stringify({ level: 'warn', logger: 'connector', event: 'log', cut: true })}\n`

/**
 * Writes a line of fields that are JSON already, each after a comma. The service's own fields are
 * trusted; those of others are searched.
 *
 * @returns false if the foreign fields are long or look like a secret: nothing was written, and the
 *   logger itself, which redacts, has to log the line
 */
export type WriteLine = (
  level: 'debug' | 'info',
  foreignFields: string,
  ownFields: string
) => boolean

/**
 * Creates the service's logger: one JSON object per line
 * (docs/reference/contract.md#6-request-ids-and-logs).
 *
 * Secrets are kept out three times: `sanitize` rebuilds objects and drops the values of secret
 * keys at any depth; text is searched for secret parameters and tokens; and the finished line is
 * searched for the configured secrets, in case the first two missed one.
 *
 * @returns the logger; `redactValue`, which registers a value that must never be logged; and
 *   `writeLine`, for lines that are too frequent for all that
 */
export function createLogger(destination: LogDestination): {
  logger: Logger
  redactValue: (secret: string) => void
  writeLine: WriteLine
} {
  const secrets = new Set<string>()
  const logger = pino(
    {
      base: { logger: 'connector', instance: instanceId },
      messageKey: 'message',
      timestamp: () => `,"timestamp":"${toIsoTime(new Date())}"`,
      formatters: { level: (label) => ({ level: label }) },
      // Runs before pino, which would call getters and proxy traps that throw.
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
  const lineStart = `","logger":"connector","instance":${JSON.stringify(instanceId)}`
  return {
    logger,
    writeLine(level, foreignFields, ownFields) {
      if (foreignFields.length > MAX_PLAIN_CHARS || isSuspicious(secrets, foreignFields)) {
        return false
      }
      destination.write(
        `{"level":"${level}","timestamp":"${toIsoTime(new Date())}${lineStart}` +
          `${foreignFields}${ownFields}}\n`
      )
      return true
    },
    redactValue: (secret) => {
      for (const form of getEncodedForms(secret)) secrets.add(form)
    }
  }
}

/**
 * The same arguments with plain, bounded values. Fields that every line has cannot be
 * overwritten.
 */
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

/** A removed secret may have crossed the JSON syntax of the line; then only a stub is logged. */
function isJson(line: string): boolean {
  try {
    JSON.parse(line)
    return true
  } catch {
    return false
  }
}

/** Shortens a line that is too long to the fields that identify it. */
function truncateLine(line: string): string {
  const fields = JSON.parse(line) as Record<string, unknown>
  const entries = ['level', 'timestamp', 'logger', 'event', 'request_id'].flatMap((name) =>
    typeof fields[name] === 'string' ? [[name, fields[name].slice(0, MAX_FIELD_CHARS)]] : []
  )
  return JSON.stringify({ ...Object.fromEntries(entries), cut: true }) + '\n'
}
