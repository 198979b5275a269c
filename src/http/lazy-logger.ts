import type { FastifyBaseLogger } from 'fastify'

type Method = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent'
type ChildArguments = Parameters<FastifyBaseLogger['child']>

/** A logger that is created when something is logged with it. Most requests log nothing with theirs. */
class LazyLogger {
  readonly #parent: FastifyBaseLogger
  readonly #create: () => FastifyBaseLogger
  #logger: FastifyBaseLogger | undefined

  constructor(parent: FastifyBaseLogger, create: () => FastifyBaseLogger) {
    this.#parent = parent
    this.#create = create
  }

  get level(): string {
    return (this.#logger ?? this.#parent).level
  }

  set level(level: string) {
    this.#get().level = level
  }

  child(...args: ChildArguments): FastifyBaseLogger {
    return this.#get().child(...args)
  }

  trace(...args: unknown[]): void {
    this.#log('trace', args)
  }

  debug(...args: unknown[]): void {
    this.#log('debug', args)
  }

  info(...args: unknown[]): void {
    this.#log('info', args)
  }

  warn(...args: unknown[]): void {
    this.#log('warn', args)
  }

  error(...args: unknown[]): void {
    this.#log('error', args)
  }

  fatal(...args: unknown[]): void {
    this.#log('fatal', args)
  }

  silent(...args: unknown[]): void {
    this.#log('silent', args)
  }

  #log(method: Method, args: unknown[]): void {
    const logger = this.#get()
    ;(logger[method] as (...args: unknown[]) => void).apply(logger, args)
  }

  #get(): FastifyBaseLogger {
    this.#logger ??= this.#create()
    return this.#logger
  }
}

/**
 * A child logger that costs nothing until it is used.
 *
 * @param create makes the child of `parent`
 */
export function createLazyLogger(
  parent: FastifyBaseLogger,
  create: () => FastifyBaseLogger
): FastifyBaseLogger {
  return new LazyLogger(parent, create) as unknown as FastifyBaseLogger
}
