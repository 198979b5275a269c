import { setTimeout as sleep } from 'node:timers/promises'
import { StartError } from '../lib/errors.ts'
import { stripControlChars } from './terminal.ts'
import { readServerEvents } from './sse-reader.ts'

/** What the command reads of a run, as the API has it. */
export interface ApiRun {
  id: number
  product: string
  owner_id: number
  mode: string
  state: 'queued' | 'running' | 'parked' | 'succeeded' | 'partial' | 'failed' | 'cancelled'
  counts: {
    seen: number
    added: number
    changed: number
    unchanged: number
    removed: number
    held: number
    skipped: number
    upstream_calls: number
  }
  progress: { collection: string; done: number; expected: number | null } | null
  failures: Array<{ collection: string; site: string; remote_id: string | null; detail: string }>
  error: { detail: string } | null
  started_at: string | null
  next_run_at: string | null
  duration_ms: number | null
}

const RESPONSE_TIMEOUT_MS = 30_000
const RETRY_INTERVAL_MS = 1_000
/** How long a service that was there may be away: a restart, with whatever goes wrong at it. */
const OUTAGE_TIMEOUT_MS = 60_000

/** A running service, asked over HTTP. What it refuses, and that it is not there, are errors that are made to be printed. */
export function createSyncClient(base: string, signal: AbortSignal) {
  async function sendRequest(
    method: string,
    path: string,
    headers: Record<string, string> = {}
  ): Promise<Response> {
    const timeoutSignal = AbortSignal.timeout(RESPONSE_TIMEOUT_MS)
    try {
      return await fetch(base + path, {
        method,
        headers,
        redirect: 'manual',
        signal: AbortSignal.any([signal, timeoutSignal])
      })
    } catch (cause) {
      signal.throwIfAborted()
      throw new ConnectionError(base, cause)
    }
  }

  async function requestJson<ResponseBody>(method: string, path: string): Promise<ResponseBody> {
    const response = await sendRequest(method, path)
    const body = await readJson(response)
    if (response.ok && body !== undefined) return body as ResponseBody
    throw toApiError(base, response, body)
  }

  /**
   * A run each time that something of it is new, until it has ended. A connection that is lost is taken up again where it was.
   *
   * @param onDisconnect is told once each time that the service is not there
   */
  async function* streamRun(
    path: string,
    onDisconnect: () => void,
    outageTimeoutMs = OUTAGE_TIMEOUT_MS
  ): AsyncGenerator<ApiRun> {
    let lastId: string | undefined
    let lastEventAt = performance.now()
    let isDisconnected = false
    while (true) {
      try {
        const response = await sendRequest('GET', path, {
          accept: 'text/event-stream',
          ...(lastId === undefined ? {} : { 'last-event-id': lastId })
        })
        if (!isEventStream(response)) throw toApiError(base, response, await readJson(response))
        for await (const { id, event, data } of readServerEvents(response, signal)) {
          lastId = id ?? lastId
          lastEventAt = performance.now()
          isDisconnected = false
          yield JSON.parse(data) as ApiRun
          if (event === 'end') return
        }
      } catch (error) {
        signal.throwIfAborted()
        if (!isRetryable(error)) throw error
        if (performance.now() - lastEventAt > outageTimeoutMs) {
          throw new StartError(
            [
              `The service has not been there for ${Math.round(outageTimeoutMs / 1000)} seconds: ${base}. The run goes on when it is back.`
            ],
            1
          )
        }
        if (!isDisconnected) onDisconnect()
        isDisconnected = true
      }
      await sleep(RETRY_INTERVAL_MS, undefined, { signal })
    }
  }

  return { requestJson, streamRun }
}

export type SyncClient = ReturnType<typeof createSyncClient>

class ConnectionError extends StartError {
  constructor(base: string, cause: unknown) {
    super(
      [
        `The service cannot be reached at ${base} (${describeCause(cause)}). Is it running? --url names another address.`
      ],
      1
    )
  }
}

/** A refusal of the service's own, in its words. */
class ApiError extends StartError {
  readonly status: number

  constructor(message: string, status: number) {
    super([message], 1)
    this.status = status
  }
}

function toApiError(base: string, { status, headers }: Response, body: unknown): ApiError {
  const {
    detail,
    request_id: requestId,
    errors
  } = (body ?? {}) as {
    detail?: unknown
    request_id?: unknown
    errors?: Array<{ pointer: string; detail: string }>
  }
  const fields = (errors ?? []).map((error) => ` ${error.pointer}: ${error.detail}`).join('')
  if (typeof detail === 'string') {
    return new ApiError(
      stripControlChars(`${detail}${fields} (request ${String(requestId)})`),
      status
    )
  }
  const location = headers.get('location')
  if (location !== null) {
    return new ApiError(
      `${base} sends elsewhere, to ${stripControlChars(location)}. Give the service's own address with --url.`,
      status
    )
  }
  return new ApiError(
    `${base} answers ${status}, and not as this service does. Is the address right?`,
    status
  )
}

/** What a service that restarts looks like, and a proxy in front of it. */
function isRetryable(error: unknown): boolean {
  return !(error instanceof ApiError) || error.status >= 500
}

function isEventStream({ status, headers }: Response): boolean {
  return status === 200 && headers.get('content-type')?.startsWith('text/event-stream') === true
}

async function readJson(response: Response): Promise<unknown> {
  return await response.json().catch(() => undefined)
}

function describeCause(error: unknown): string {
  const { name, cause } = error as { name?: string; cause?: { code?: string; message?: string } }
  return name === 'TimeoutError'
    ? `no answer within ${RESPONSE_TIMEOUT_MS / 1000} seconds`
    : (cause?.code ?? cause?.message ?? 'no connection')
}
