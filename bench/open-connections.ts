import { Agent, request } from 'node:http'
import { connect, type Socket } from 'node:net'

/** More at once would wait so long that some are refused (503). */
const CONCURRENT_CONNECTS = 20
const EVENT_END = '\n\n'

/** Runs a job for each number below `count`, some at a time. */
async function runEach(count: number, job: (i: number) => Promise<void>): Promise<void> {
  let next = 0
  const work = async () => {
    while (next < count) await job(next++)
  }
  await Promise.all(Array.from({ length: Math.min(count, CONCURRENT_CONNECTS) }, work))
}

/**
 * Opens keep-alive connections that send one request each and stay open.
 *
 * @returns the sockets that got an answer
 */
export async function openIdleConnections(url: string, count: number): Promise<Socket[]> {
  const { hostname, port } = new URL(url)
  const sockets: Socket[] = []
  await runEach(count, async () => {
    await new Promise<void>((resolve) => {
      const socket = connect(Number(port), hostname, () => {
        socket.write('GET /livez HTTP/1.1\r\nhost: bench\r\n\r\n')
      })
      socket.once('data', (data) => {
        if (data.toString().startsWith('HTTP/1.1 200')) sockets.push(socket)
        resolve()
      })
      socket.on('error', () => {
        resolve()
      })
    })
  })
  return sockets
}

/** Streams of server-sent events, all of one run. */
export interface Watchers {
  /** How many got a response. */
  count: number
  /** The arrival of each event since the last call. */
  takeArrivals: () => number[]
  close: () => void
}

export async function openWatchers(url: string, path: string, count: number): Promise<Watchers> {
  const agent = new Agent({ maxSockets: Infinity })
  let arrivals: number[] = []
  let opened = 0
  await runEach(count, async () => {
    await new Promise<void>((resolve) => {
      const watcher = request(url + path, { agent }, (response) => {
        if (response.statusCode === 200) opened++
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk
          for (let end = text.indexOf(EVENT_END); end !== -1; end = text.indexOf(EVENT_END)) {
            // A heartbeat repeats the last event, without an id.
            if (/^id:/m.test(text.slice(0, end))) arrivals.push(performance.now())
            text = text.slice(end + EVENT_END.length)
          }
        })
        response.on('error', () => {})
        resolve()
      })
      watcher.on('error', () => {
        resolve()
      })
      watcher.end()
    })
  })
  return {
    count: opened,
    takeArrivals() {
      const taken = arrivals
      arrivals = []
      return taken
    },
    close() {
      agent.destroy()
    }
  }
}

/** One list that was read as a stream. */
export interface StreamTimes {
  firstByteMs: number
  totalMs: number
  isComplete: boolean
}

/** Requests a list on a connection of its own and reads it to its end. */
export async function readStream(url: string): Promise<StreamTimes> {
  return await new Promise((resolve) => {
    const startedAt = performance.now()
    let firstByteMs = NaN
    const fail = () => {
      resolve({ firstByteMs, totalMs: performance.now() - startedAt, isComplete: false })
    }
    request(url, { agent: false }, (response) => {
      response.on('data', () => {
        if (Number.isNaN(firstByteMs)) firstByteMs = performance.now() - startedAt
      })
      response.once('end', () => {
        const isComplete = response.complete && response.statusCode === 200
        resolve({ firstByteMs, totalMs: performance.now() - startedAt, isComplete })
      })
      response.once('error', fail)
    })
      .once('error', fail)
      .end()
  })
}
