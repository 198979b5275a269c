import { setTimeout as sleep } from 'node:timers/promises'
import { StartError } from '../lib/errors.ts'
import { plain } from './terminal.ts'
import { readEvents } from './sse-reader.ts'

/** What the command reads of a run, as the API has it. */
export interface Run {
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

const ANSWER_TIMEOUT_MS = 30_000
const RETRY_MS = 1_000
/** How long a service that was there may be away: a restart, with whatever goes wrong at it. */
const PATIENCE_MS = 60_000

/** A running service, asked over HTTP. What it refuses, and that it is not there, are errors that are made to be printed. */
export function createService(base: string, signal: AbortSignal) {
  async function ask(
    method: string,
    path: string,
    headers: Record<string, string> = {}
  ): Promise<Response> {
    const late = AbortSignal.timeout(ANSWER_TIMEOUT_MS)
    try {
      return await fetch(base + path, {
        method,
        headers,
        redirect: 'manual',
        signal: AbortSignal.any([signal, late])
      })
    } catch (cause) {
      signal.throwIfAborted()
      throw new Unreachable(base, cause)
    }
  }

  async function call<Answer>(method: string, path: string): Promise<Answer> {
    const response = await ask(method, path)
    const answer = await json(response)
    if (response.ok && answer !== undefined) return answer as Answer
    throw refusal(base, response, answer)
  }

  /**
   * A run each time that something of it is new, until it has ended. A connection that is lost is taken up again where it was.
   *
   * @param away is told once each time that the service is not there
   */
  async function* follow(
    path: string,
    away: () => void,
    patienceMs = PATIENCE_MS
  ): AsyncGenerator<Run> {
    let lastId: string | undefined
    let heardAt = performance.now()
    let missed = false
    while (true) {
      try {
        const response = await ask('GET', path, {
          accept: 'text/event-stream',
          ...(lastId === undefined ? {} : { 'last-event-id': lastId })
        })
        if (!isEvents(response)) throw refusal(base, response, await json(response))
        for await (const { id, event, data } of readEvents(response, signal)) {
          lastId = id ?? lastId
          heardAt = performance.now()
          missed = false
          yield JSON.parse(data) as Run
          if (event === 'end') return
        }
      } catch (error) {
        signal.throwIfAborted()
        if (!passes(error)) throw error
        if (performance.now() - heardAt > patienceMs) {
          throw new StartError(
            [
              `The service has not been there for ${Math.round(patienceMs / 1000)} seconds: ${base}. The run goes on when it is back.`
            ],
            1
          )
        }
        if (!missed) away()
        missed = true
      }
      await sleep(RETRY_MS, undefined, { signal })
    }
  }

  return { call, follow }
}

export type Service = ReturnType<typeof createService>

class Unreachable extends StartError {
  constructor(base: string, cause: unknown) {
    super(
      [
        `The service cannot be reached at ${base} (${reason(cause)}). Is it running? --url names another address.`
      ],
      1
    )
  }
}

/** A refusal of the service's own, in its words. */
class Refused extends StartError {
  readonly status: number

  constructor(sentence: string, status: number) {
    super([sentence], 1)
    this.status = status
  }
}

function refusal(base: string, { status, headers }: Response, answer: unknown): Refused {
  const {
    detail,
    request_id: requestId,
    errors
  } = (answer ?? {}) as {
    detail?: unknown
    request_id?: unknown
    errors?: Array<{ pointer: string; detail: string }>
  }
  const fields = (errors ?? []).map((error) => ` ${error.pointer}: ${error.detail}`).join('')
  if (typeof detail === 'string') {
    return new Refused(plain(`${detail}${fields} (request ${String(requestId)})`), status)
  }
  const location = headers.get('location')
  if (location !== null) {
    return new Refused(
      `${base} sends elsewhere, to ${plain(location)}. Give the service's own address with --url.`,
      status
    )
  }
  return new Refused(
    `${base} answers ${status}, and not as this service does. Is the address right?`,
    status
  )
}

/** What a service that restarts looks like, and a proxy in front of it. */
function passes(error: unknown): boolean {
  return !(error instanceof Refused) || error.status >= 500
}

function isEvents({ status, headers }: Response): boolean {
  return status === 200 && headers.get('content-type')?.startsWith('text/event-stream') === true
}

async function json(response: Response): Promise<unknown> {
  return await response.json().catch(() => undefined)
}

function reason(error: unknown): string {
  const { name, cause } = error as { name?: string; cause?: { code?: string; message?: string } }
  return name === 'TimeoutError'
    ? `no answer within ${ANSWER_TIMEOUT_MS / 1000} seconds`
    : (cause?.code ?? cause?.message ?? 'no connection')
}
