import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { pickByScale } from '../auth/helper.ts'
import { waitFor } from '../helper.ts'
import { startServiceProcess, type ServiceProcess } from '../process/child.ts'
import { readRssMb } from '../process/measure.ts'

const CONNECTION_COUNT = pickByScale(1_000, 10_000)
const WATCH_DURATION_MS = 10_000
const MAX_RESPONSE_MS = 200
/** The header timeout plus twice the interval at which Node checks incomplete requests. */
const CLOSE_TIMEOUT_MS = 40_000
const countDescriptors = ({ pid }: ServiceProcess) => readdirSync(`/proc/${pid}/fd`).length

t.test(
  `T32 E5 ${CONNECTION_COUNT} slow connections keep /healthz below ${MAX_RESPONSE_MS} ms and time out`,
  async (t) => {
    const service = await startServiceProcess(t)
    const [few, before] = [countDescriptors(service), readRssMb(service)]
    const client = spawn(
      process.execPath,
      [
        fileURLToPath(new URL('slow-client.ts', import.meta.url)),
        new URL(service.url).port,
        String(CONNECTION_COUNT)
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] }
    )
    t.teardown(() => client.kill('SIGKILL'))
    let clientOutput = ''
    client.stdout.on('data', (chunk: Buffer) => {
      clientOutput += chunk.toString()
    })
    const opened = Number(await waitFor(() => /open (\d+)/.exec(clientOutput)?.[1], 60_000))
    t.ok(opened >= CONNECTION_COUNT * 0.99, `${opened} are open`)
    const took: number[] = []
    const observed = { most: 0, least: Infinity, rss: 0 }
    for (const from = performance.now(); performance.now() - from < WATCH_DURATION_MS;) {
      const requestedAt = performance.now()
      t.equal((await fetch(`${service.url}/healthz`)).status, 200)
      took.push(performance.now() - requestedAt)
      observed.most = Math.max(observed.most, countDescriptors(service) - few)
      observed.least = Math.min(observed.least, countDescriptors(service) - few)
      observed.rss = Math.max(observed.rss, readRssMb(service))
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    took.sort((a, b) => a - b)
    const p99 = took[Math.floor(took.length * 0.99)] ?? 0
    await waitFor(() => countDescriptors(service) - few < 20, CLOSE_TIMEOUT_MS)
    t.comment(
      `${observed.most} held at most; /healthz p99 ${p99.toFixed()} ms, longest ` +
        `${took.at(-1)?.toFixed()} ms; RSS ${before.toFixed()} → ${observed.rss.toFixed()} → ` +
        `${readRssMb(service).toFixed()} MB`
    )
    t.ok(p99 <= MAX_RESPONSE_MS && (took.at(-1) ?? 0) <= MAX_RESPONSE_MS, '/healthz')
    t.ok(observed.least >= CONNECTION_COUNT * 0.99, 'all connections stay open until the timeout')
    t.ok(observed.rss < before + 50 + CONNECTION_COUNT * 0.03, 'about 30 KB per connection')
    t.equal((await fetch(`${service.url}/users`)).status, 200)
  }
)

t.test('T32 Answers 408 to a body sent byte by byte, and closes the connection', async (t) => {
  const service = await startServiceProcess(t)
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
})
