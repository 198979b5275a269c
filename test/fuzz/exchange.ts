import { connect, type Socket } from 'node:net'

/** Time without bytes after which a response counts as complete. */
const QUIET_TIMEOUT_MS = 700
export const EXCHANGE_TIMEOUT_MS = 60_000

export interface ExchangeResult {
  statuses: number[]
  text: string
  tookMs: number
  hasEnded: boolean
}

/** Sends bytes and reads until the server closes the connection or is quiet after a response. */
export async function exchangeBytes(
  port: number,
  send: (socket: Socket) => void,
  timeoutMs = EXCHANGE_TIMEOUT_MS
): Promise<ExchangeResult> {
  return await new Promise((resolve) => {
    const startedAt = performance.now()
    let [text, done] = ['', false]
    let quietTimer: NodeJS.Timeout | undefined
    const socket = connect(port, '127.0.0.1', () => {
      send(socket)
    })
    const finish = (hasEnded: boolean) => {
      if (done) return
      done = true
      clearTimeout(timeoutTimer)
      clearTimeout(quietTimer)
      socket.destroy()
      resolve({
        statuses: parseStatuses(text),
        text,
        tookMs: performance.now() - startedAt,
        hasEnded
      })
    }
    const timeoutTimer = setTimeout(() => {
      finish(false)
    }, timeoutMs)
    socket.setEncoding('latin1')
    socket.on('data', (chunk) => {
      text += chunk.toString()
      clearTimeout(quietTimer)
      if (!/^HTTP\/1\.1 100 [^\n]*\r\n\r\n$/.test(text)) {
        quietTimer = setTimeout(() => {
          finish(true)
        }, QUIET_TIMEOUT_MS)
      }
    })
    socket.on('error', () => {
      /* the server closed the connection: keep what was received */
    })
    socket.on('close', () => {
      finish(true)
    })
  })
}

/** The statuses of the responses in a stream; skips each body by its length. */
function parseStatuses(text: string): number[] {
  const statuses: number[] = []
  for (let rest = text; rest !== '';) {
    const end = rest.indexOf('\r\n\r\n')
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(rest)?.[1] ?? -1)
    statuses.push(status)
    if (end < 0 || status === -1) break
    const head = rest.slice(0, end)
    const empty = /\r\ntransfer-encoding: chunked/i.test(head) ? '0\r\n\r\n'.length : 0
    rest = rest.slice(
      end + 4 + (status === 100 ? 0 : Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? empty))
    )
  }
  return statuses
}

/** Sends `first`, then one byte at a time. */
const createSlowSender =
  (text: string, everyMs: number, first = '') =>
  (socket: Socket) => {
    socket.write(first)
    let at = 0
    const timer = setInterval(() => {
      socket.write(text[at++ % text.length] ?? '')
    }, everyMs)
    socket.on('close', () => {
      clearInterval(timer)
    })
  }
const POST_HEAD = 'POST /users HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n'

/** Slow clients of several kinds. */
export const SLOW_CLIENTS: Record<string, (socket: Socket) => void> = {
  'says nothing': () => {},
  'sends half a request line': (socket) => {
    socket.write('GET /us')
  },
  'sends half a header': (socket) => {
    socket.write('GET / HTTP/1.1\r\nHost: a\r\nX-')
  },
  'sends a header byte each second': createSlowSender(
    'a',
    1_000,
    'GET / HTTP/1.1\r\nHost: a\r\nX: '
  ),
  'sends header after header': createSlowSender('X: y\r\n', 300, 'GET / HTTP/1.1\r\nHost: a\r\n'),
  'sends empty lines': createSlowSender('\r\n', 1_000),
  'announces a body and sends none': (socket) => {
    socket.write(`${POST_HEAD}Content-Length: 100\r\n\r\n`)
  },
  'sends a body byte each second': createSlowSender(
    ' ',
    1_000,
    `${POST_HEAD}Content-Length: 1000\r\n\r\n`
  ),
  'sends half a chunk': (socket) => {
    socket.write(`${POST_HEAD}Transfer-Encoding: chunked\r\n\r\n10\r\n{`)
  },
  'sends chunk after chunk': createSlowSender(
    '1\r\n \r\n',
    200,
    `${POST_HEAD}Transfer-Encoding: chunked\r\n\r\n`
  )
}
