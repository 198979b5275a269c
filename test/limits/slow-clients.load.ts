import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { many } from '../auth/helper.ts'
import { until } from '../helper.ts'
import { start, type Started } from '../process/child.ts'

const CONNECTIONS = many(1_000, 10_000)
const WATCH_MS = 10_000
const LONGEST_MS = 200
/** The header's time, and twice the pace at which half-sent requests are looked at. */
const GONE_WITHIN_MS = 40_000

const rssMb = ({ pid }: Started) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
const descriptors = ({ pid }: Started) => readdirSync(`/proc/${pid}/fd`).length

t.test(
  `T32 E5 ${CONNECTIONS} connections that send one byte a second do not delay /healthz by ${LONGEST_MS} ms, and are gone when the time for a header is over`,
  async (t) => {
    const service = await start(t)
    const [few, before] = [descriptors(service), rssMb(service)]
    const client = spawn(
      process.execPath,
      [
        fileURLToPath(new URL('slow-client.ts', import.meta.url)),
        new URL(service.url).port,
        String(CONNECTIONS)
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] }
    )
    t.teardown(() => client.kill('SIGKILL'))
    let said = ''
    client.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString()
    })
    const opened = Number(await until(() => /open (\d+)/.exec(said)?.[1], 60_000))
    t.ok(opened >= CONNECTIONS * 0.99, `${opened} are open`)
    const took: number[] = []
    const held = { most: 0, least: Infinity, rss: 0 }
    for (const from = performance.now(); performance.now() - from < WATCH_MS;) {
      const asked = performance.now()
      t.equal((await fetch(`${service.url}/healthz`)).status, 200)
      took.push(performance.now() - asked)
      held.most = Math.max(held.most, descriptors(service) - few)
      held.least = Math.min(held.least, descriptors(service) - few)
      held.rss = Math.max(held.rss, rssMb(service))
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    took.sort((a, b) => a - b)
    const p99 = took[Math.floor(took.length * 0.99)] ?? 0
    await until(() => descriptors(service) - few < 20, GONE_WITHIN_MS)
    t.comment(
      `${held.most} held at most; /healthz p99 ${p99.toFixed()} ms, longest ${took.at(-1)?.toFixed()} ms; RSS ${before.toFixed()} → ${held.rss.toFixed()} → ${rssMb(service).toFixed()} MB`
    )
    t.ok(p99 <= LONGEST_MS && (took.at(-1) ?? 0) <= LONGEST_MS, '/healthz')
    t.ok(held.least >= CONNECTIONS * 0.99, 'all of them were there all the time')
    t.ok(held.rss < before + 50 + CONNECTIONS * 0.03, 'some 30 KB for each')
    t.equal((await fetch(`${service.url}/users`)).status, 200)
  }
)

t.test(
  'T32 A body that comes a byte at a time is given up with 408, and the connection closed',
  async (t) => {
    const service = await start(t)
    const { port } = new URL(service.url)
    const text = await new Promise<string>((resolve) => {
      let text = ''
      const socket = connect(Number(port), '127.0.0.1', () => {
        socket.write(
          'POST /users HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n'
        )
      })
      const timer = setInterval(() => {
        socket.write(' ')
      }, 1_000)
      socket
        .on('data', (chunk) => {
          text += chunk.toString()
        })
        .on('error', () => {})
        .on('close', () => {
          clearInterval(timer)
          resolve(text)
        })
    })
    t.match(text, /^HTTP\/1\.1 408 .*"code":"request_timeout"/s)
  }
)
