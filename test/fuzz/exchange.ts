import { connect, type Socket } from 'node:net'

/** How long a connection is watched for another answer after the last byte came. */
const QUIET_MS = 700
export const LONGEST_MS = 60_000

export interface Heard {
  statuses: number[]
  text: string
  tookMs: number
  ended: boolean
}

/** Sends bytes and listens until the other side ends, or is quiet after it has answered. */
export async function exchange(
  port: number,
  send: (socket: Socket) => void,
  longestMs = LONGEST_MS
): Promise<Heard> {
  return await new Promise((resolve) => {
    const begun = performance.now()
    let [text, done] = ['', false]
    let quiet: NodeJS.Timeout | undefined
    const socket = connect(port, '127.0.0.1', () => {
      send(socket)
    })
    const finish = (ended: boolean) => {
      if (done) return
      done = true
      clearTimeout(limit)
      clearTimeout(quiet)
      socket.destroy()
      resolve({ statuses: statusesOf(text), text, tookMs: performance.now() - begun, ended })
    }
    const limit = setTimeout(() => {
      finish(false)
    }, longestMs)
    socket.setEncoding('latin1')
    socket.on('data', (chunk) => {
      text += chunk.toString()
      clearTimeout(quiet)
      if (!/^HTTP\/1\.1 100 [^\n]*\r\n\r\n$/.test(text)) {
        quiet = setTimeout(() => {
          finish(true)
        }, QUIET_MS)
      }
    })
    socket.on('error', () => {
      /* ended under us: what came before counts */
    })
    socket.on('close', () => {
      finish(true)
    })
  })
}

/** The statuses of the answers in a stream, each body skipped by its length. */
function statusesOf(text: string): number[] {
  const found: number[] = []
  for (let rest = text; rest !== '';) {
    const end = rest.indexOf('\r\n\r\n')
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(rest)?.[1] ?? -1)
    found.push(status)
    if (end < 0 || status === -1) break
    const head = rest.slice(0, end)
    const empty = /\r\ntransfer-encoding: chunked/i.test(head) ? '0\r\n\r\n'.length : 0
    rest = rest.slice(
      end + 4 + (status === 100 ? 0 : Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? empty))
    )
  }
  return found
}

/** Says `first`, and then a byte at a time. */
const drip =
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
const head = 'POST /users HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n'

/** Those who take their time, each in a way of its own. */
export const SLOW: Record<string, (socket: Socket) => void> = {
  'says nothing': () => {},
  'sends half a request line': (socket) => {
    socket.write('GET /us')
  },
  'sends half a header': (socket) => {
    socket.write('GET / HTTP/1.1\r\nHost: a\r\nX-')
  },
  'sends a header byte each second': drip('a', 1_000, 'GET / HTTP/1.1\r\nHost: a\r\nX: '),
  'sends header after header': drip('X: y\r\n', 300, 'GET / HTTP/1.1\r\nHost: a\r\n'),
  'sends empty lines': drip('\r\n', 1_000),
  'announces a body and sends none': (socket) => {
    socket.write(`${head}Content-Length: 100\r\n\r\n`)
  },
  'sends a body byte each second': drip(' ', 1_000, `${head}Content-Length: 1000\r\n\r\n`),
  'sends half a chunk': (socket) => {
    socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n10\r\n{`)
  },
  'sends chunk after chunk': drip('1\r\n \r\n', 200, `${head}Transfer-Encoding: chunked\r\n\r\n`)
}
