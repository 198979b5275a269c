import type { Dispatcher } from 'undici'
import { AppError } from './errors.ts'
import { parseRetryAfterMs } from './retry-after.ts'

/** The logger that domain code uses; pino's fits. */
export interface Logger {
  debug: (fields: object, message?: string) => void
  info: (fields: object, message?: string) => void
  warn: (fields: object, message?: string) => void
  error: (fields: object, message?: string) => void
}

interface HttpRequest {
  method?: 'GET' | 'POST'
  url: string
  headers?: Record<string, string>
  /** Sent as JSON. */
  json?: object
  log: Logger
  /** Aborts the call, which then fails as `interrupted`. */
  signal?: AbortSignal
  /** Time-out of the whole response in ms, if shorter than the default. */
  timeoutMs?: number
  /** Begins the sentences of errors. Default: Atlassian. */
  server?: string
}

/** A response. `body` is parsed JSON, or undefined if it was not JSON. */
export interface HttpResponse {
  status: number
  headers: Record<string, string | string[] | undefined>
  body: unknown
  /** How long to wait before the next call, in ms, if the response says so. */
  retryAfterMs: number | undefined
}

/**
 * Sends one JSON request.
 *
 * @throws AppError `upstream_unreachable`, `upstream_timeout`, `upstream_invalid_answer`,
 *   `interrupted`
 */
export type HttpClient = (request: HttpRequest) => Promise<HttpResponse>

/** Far above 250 Confluence pages with bodies, and low enough to stop a runaway response. */
const MAX_RESPONSE_BYTES = 32 * 1024 * 1024

export interface HttpClientSettings {
  /** The connections; made by the first call if it is a function. */
  network: Dispatcher | (() => Promise<Dispatcher>)
  /** From sending the request to the last byte of the body, in ms. */
  responseTimeoutMs: number
  /** Milliseconds since the epoch. */
  now: () => number
  /** Names this software to Atlassian. */
  userAgent: string
  /** Returns the id of the incoming request, if there is one. */
  getRequestId?: () => string | undefined
  /** Called for each response. */
  observe?: (
    response: Pick<HttpResponse, 'headers'> & { method: string; url: string; log: Logger }
  ) => void
}

/** Creates a client that follows no redirects and limits the time of each response. */
export function createHttpClient({
  network,
  responseTimeoutMs,
  now,
  userAgent,
  getRequestId = () => undefined,
  observe = () => {}
}: HttpClientSettings): HttpClient {
  return async ({
    method = 'GET',
    url,
    headers = {},
    json,
    log,
    signal,
    timeoutMs = responseTimeoutMs,
    server = 'Atlassian'
  }) => {
    const id = getRequestId()
    const timeoutSignal = AbortSignal.timeout(Math.min(timeoutMs, responseTimeoutMs))
    let response: Dispatcher.ResponseData | undefined
    try {
      // A megabyte of code that a start would wait for.
      const { request } = await import('undici')
      response = await request(url, {
        dispatcher: typeof network === 'function' ? await network() : network,
        method,
        headers: {
          accept: 'application/json',
          'user-agent': userAgent,
          ...(id === undefined ? {} : { 'x-request-id': id }),
          ...headers,
          ...(json === undefined ? {} : { 'content-type': 'application/json' })
        },
        body: json === undefined ? null : JSON.stringify(json),
        signal: signal === undefined ? timeoutSignal : AbortSignal.any([timeoutSignal, signal])
      })
      observe({ method, url, headers: response.headers, log })
      return {
        status: response.statusCode,
        headers: response.headers,
        body: parseJson(await readBody(response.body)),
        retryAfterMs: parseRetryAfterMs(response.headers, now())
      }
    } catch (error) {
      const failure =
        signal?.aborted === true
          ? new AppError('interrupted', 'The service is stopping.')
          : toTransportError(error, timeoutSignal.aborted, server)
      log.warn(
        {
          event: 'upstream_error',
          error_code: failure.code,
          upstream: getHost(url),
          status_code: response?.statusCode,
          trace_id: response?.headers['atl-traceid'],
          err: error
        },
        failure.message
      )
      throw failure
    }
  }
}

/**
 * Returns the body of a successful response. Turns any other into an error the caller can act
 * on, and logs it with Atlassian's trace id. The body of a failed response reaches neither the
 * log nor the caller.
 */
export function assertOk(response: HttpResponse, url: string, log: Logger): unknown {
  const { status, headers, body } = response
  if (status >= 200 && status < 300 && body !== undefined) return body
  const failure = toStatusError(response)
  failure.upstreamStatus = status
  log.warn(
    {
      event: 'upstream_error',
      error_code: failure.code,
      upstream: getHost(url),
      status_code: status,
      trace_id: headers['atl-traceid'],
      reason: headers['ratelimit-reason']
    },
    failure.message
  )
  throw failure
}

function toStatusError({ status, retryAfterMs }: HttpResponse): AppError {
  const details = retryAfterMs === undefined ? {} : { retryAfterS: Math.ceil(retryAfterMs / 1000) }
  if (status === 429) {
    return new AppError(
      'upstream_rate_limited',
      'Atlassian limits the rate of calls. Try again later.',
      details
    )
  }
  if (status >= 500) {
    return new AppError(
      'upstream_failed',
      `Atlassian returned HTTP ${status}. Try again later.`,
      details
    )
  }
  if (status >= 400) {
    return new AppError('upstream_refused', `Atlassian refused the call (HTTP ${status}).`)
  }
  return new AppError('upstream_invalid_answer', 'Atlassian did not return JSON.')
}

function toTransportError(error: unknown, isTimeout: boolean, server: string): AppError {
  if (error instanceof AppError) return error
  const code = (error as { code?: string }).code ?? ''
  if (isTimeout || /TIMEOUT|ETIMEDOUT/.test(code)) {
    return new AppError('upstream_timeout', `${server} did not respond in time.`, { cause: error })
  }
  return new AppError('upstream_unreachable', `${server} cannot be reached.`, { cause: error })
}

async function readBody(body: Dispatcher.ResponseData['body']): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > MAX_RESPONSE_BYTES) {
      throw new AppError('upstream_invalid_answer', 'The response from Atlassian is too large.')
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

function getHost(url: string): string {
  return new URL(url).host
}
