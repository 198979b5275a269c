/** One server-sent event. */
export interface ServerEvent {
  id: string | undefined
  event: string
  data: string
}

/** The service says something every ten seconds at least, if only that it is there. */
const LONGEST_SILENCE_MS = 30_000

/**
 * Reads server-sent events (WHATWG HTML, section 9.2.6) until the stream ends.
 *
 * @throws whatever ends the connection, or that nothing has come for too long
 */
export async function* readEvents(
  response: Response,
  signal: AbortSignal
): AsyncGenerator<ServerEvent> {
  let rest = ''
  for await (const text of chunks(response, signal)) {
    const blocks = (rest + text).replaceAll('\r\n', '\n').split('\n\n')
    rest = blocks.pop() ?? ''
    for (const block of blocks) {
      const event = parsed(block)
      if (event.data !== '') yield event
    }
  }
}

async function* chunks({ body }: Response, signal: AbortSignal): AsyncGenerator<string> {
  if (body === null) return
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  const stop = (): void => {
    reader.cancel().catch(() => {})
  }
  signal.addEventListener('abort', stop)
  let silent = false
  const timer = setTimeout(() => {
    silent = true
    stop()
  }, LONGEST_SILENCE_MS)
  try {
    while (true) {
      const { value, done } = await reader.read()
      if (silent) throw new Error('Nothing has come for too long')
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

function parsed(block: string): ServerEvent {
  const found: ServerEvent = { id: undefined, event: 'message', data: '' }
  for (const line of block.split('\n')) {
    const [, name, value = ''] = /^(id|event|data): ?(.*)$/.exec(line) ?? []
    if (name === 'data') found.data += found.data === '' ? value : `\n${value}`
    else if (name === 'id') found.id = value
    else if (name === 'event') found.event = value
  }
  return found
}
