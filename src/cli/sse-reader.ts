/** One server-sent event. */
export interface ServerEvent {
  id: string | undefined
  event: string
  data: string
}

/** The service sends at least a comment every 10 seconds. */
const IDLE_TIMEOUT_MS = 30_000

/**
 * Reads server-sent events (WHATWG HTML, section 9.2.6) until the stream ends.
 *
 * @throws the connection's error, or a timeout after `IDLE_TIMEOUT_MS` without data
 */
export async function* readServerEvents(
  response: Response,
  signal: AbortSignal
): AsyncGenerator<ServerEvent> {
  let buffer = ''
  for await (const text of readChunks(response, signal)) {
    const blocks = (buffer + text).replaceAll('\r\n', '\n').split('\n\n')
    buffer = blocks.pop() ?? ''
    for (const block of blocks) {
      const event = parseEvent(block)
      if (event.data !== '') yield event
    }
  }
}

async function* readChunks({ body }: Response, signal: AbortSignal): AsyncGenerator<string> {
  if (body === null) return
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  const stop = (): void => {
    reader.cancel().catch(() => {})
  }
  signal.addEventListener('abort', stop)
  let hasTimedOut = false
  const timer = setTimeout(() => {
    hasTimedOut = true
    stop()
  }, IDLE_TIMEOUT_MS)
  try {
    while (true) {
      const { value, done } = await reader.read()
      if (hasTimedOut) throw new Error('The event stream timed out')
      if (done) return
      timer.refresh()
      yield value
    }
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', stop)
    stop()
  }
}

function parseEvent(block: string): ServerEvent {
  const event: ServerEvent = { id: undefined, event: 'message', data: '' }
  for (const line of block.split('\n')) {
    const [, name, value = ''] = /^(id|event|data): ?(.*)$/.exec(line) ?? []
    if (name === 'data') event.data += event.data === '' ? value : `\n${value}`
    else if (name === 'id') event.id = value
    else if (name === 'event') event.event = value
  }
  return event
}
