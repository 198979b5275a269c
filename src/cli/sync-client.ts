import { setTimeout as sleep } from 'node:timers/promises'
import { EXIT_CODES } from './exit.ts'
import { readServerEvents } from './sse-reader.ts'
import { replaceControlChars } from './terminal.ts'
import { StartError } from '../lib/errors.ts'

/** The part of the API's run that the command reads. */
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
/** Long enough for a restart of the service. */
const OUTAGE_TIMEOUT_MS = 60_000

/**
 * A client of a running service. Its errors are sentences for an operator.
 *
 * @param key API key, sent to `base` only: redirects are not followed
 * @param scopes what the key has to allow
 */
export function createSyncClient(
  base: string,
  signal: AbortSignal,
  key?: string,
  scopes: readonly string[] = ['sync:read', 'sync:write']
) {
  const credentials = key === undefined ? {} : { authorization: `Bearer ${key}` }

  async function sendRequest(
    method: string,
    path: string,
    headers: Record<string, string> = {}
  ): Promise<Response> {
    const timeoutSignal = AbortSignal.timeout(RESPONSE_TIMEOUT_MS)
    try {
      return await fetch(base + path, {
        method,
        headers: { ...headers, ...credentials },
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
    throw toApiError(base, response, body, key !== undefined, scopes)
  }

  /**
   * Yields a run whenever it changes, until it has ended. Reconnects where the stream was interrupted.
   *
   * @param onDisconnect called once for each outage
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
        if (!isEventStream(response)) {
          throw toApiError(base, response, await readJson(response), key !== undefined, scopes)
        }
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
          const seconds = Math.round(outageTimeoutMs / 1000)
          throw new StartError(
            [
              `The service at ${base} has been unavailable for ${seconds} seconds.` +
                ' The run resumes when it is back.'
            ],
            EXIT_CODES.failure
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
        `The service cannot be reached at ${base} (${describeCause(cause)}).` +
          ' Start it, or name another address with --url.'
      ],
      EXIT_CODES.failure
    )
  }
}

/** An error response. */
class ApiError extends StartError {
  readonly status: number

  constructor(message: string, status: number) {
    super([message], EXIT_CODES.failure)
    this.status = status
  }
}

function toApiError(
  base: string,
  { status, headers }: Response,
  body: unknown,
  hasKey: boolean,
  scopes: readonly string[]
): ApiError {
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
    const text = replaceControlChars(`${detail}${fields} (request ${String(requestId)})`)
    const advice = adviseOnKey(status, hasKey, scopes)
    return new ApiError(advice === undefined ? text : `${text}\n${advice}`, status)
  }
  const location = headers.get('location')
  if (location !== null) {
    return new ApiError(
      `${base} redirects to ${replaceControlChars(location)}. Name the service's own address with --url.`,
      status
    )
  }
  return new ApiError(
    `${base} returned ${status} and is not this service. Check the address.`,
    status
  )
}

/** @returns what the operator can do about a response that concerns authentication */
function adviseOnKey(
  status: number,
  hasKey: boolean,
  scopes: readonly string[]
): string | undefined {
  const command = `\`connector api-keys create --name NAME --scopes ${scopes.join()}\``
  if (status === 401) {
    return hasKey
      ? `The API key is wrong, expired or revoked. Create another one with ${command}.`
      : `Set CONNECTOR_API_KEY to an API key. Create one with ${command}.`
  }
  return status === 403 && hasKey
    ? `The API key needs the ${scopes.length === 1 ? 'scope' : 'scopes'} ${scopes.join(' and ')}. ` +
        `Create one with ${command}.`
    : undefined
}

/** A service that restarts, or a proxy in front of it, is tried again. */
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
    ? `no response within ${RESPONSE_TIMEOUT_MS / 1000} seconds`
    : (cause?.code ?? cause?.message ?? 'no connection')
}
