import t from 'tap'
import { VAULT_KEY } from '../helper.ts'
import { startServiceProcess } from '../process/child.ts'
import { RAW_STREAMS } from '../fixtures/streams.ts'
import { exchangeBytes, EXCHANGE_TIMEOUT_MS, SLOW_CLIENTS } from './exchange.ts'

const STATUS_LINE = /^HTTP\/1\.1 \d{3} /

t.test(
  `C9 T15 ${RAW_STREAMS.length} byte streams get the expected responses, smuggle nothing, and all end`,
  async (t) => {
    const service = await startServiceProcess(t, {
      env: { APP_ENV: 'test', VAULT_KEYS: VAULT_KEY, LOG_LEVEL: 'DEBUG' }
    })
    const port = Number(new URL(service.url).port)
    const [wrong, hung]: [string[], string[]] = [[], []]
    let slowest = 0
    await Promise.all(
      RAW_STREAMS.map(async ([name, bytes, expected]) => {
        const { statuses, text, tookMs, hasEnded } = await exchangeBytes(port, (socket) => {
          socket.write(bytes)
        })
        slowest = Math.max(slowest, tookMs)
        if (!hasEnded) hung.push(name)
        const fits =
          statuses.length === expected.length
            ? statuses.every((status, i) => expected[i]?.includes(status))
            : statuses.length === 0 && expected.length === 1 && expected[0]?.includes(0)
        if (fits !== true) {
          wrong.push(
            `${name}: ${JSON.stringify(statuses)} for ${JSON.stringify(expected)}: ${text.slice(0, 200)}`
          )
        }
        if (/planted/.test(text)) wrong.push(`${name}: what was sent came back`)
      })
    )
    t.same(wrong, [], 'each stream gets the expected response')
    t.same(hung, [], 'no connection is open after 60 s')
    t.notOk(/"path":"\/smuggled/.test(service.output()), 'no smuggled request was served')
    t.comment(`the longest took ${Math.round(slowest)} ms`)
    t.equal((await fetch(`${service.url}/healthz`)).status, 200, 'the service still answers')
    const lines = service.output().trim().split('\n')
    t.same(
      lines.filter((line) => {
        try {
          JSON.parse(line)
          return false
        } catch {
          return true
        }
      }),
      [],
      `each of ${lines.length} log lines is JSON`
    )
  }
)

t.test('C9 A stream cut after any of its bytes leaves nothing behind', async (t) => {
  const service = await startServiceProcess(t, {
    env: { APP_ENV: 'test', VAULT_KEYS: VAULT_KEY, LOG_LEVEL: 'INFO' }
  })
  const port = Number(new URL(service.url).port)
  const whole =
    'POST /users HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n' +
    'Transfer-Encoding: chunked\r\n\r\n10\r\n{"email":"a@b.c\r\n3\r\no"}\r\n0\r\n\r\n'
  const results = await Promise.all(
    Array.from(
      { length: whole.length },
      async (_, i) =>
        await exchangeBytes(port, (socket) => {
          socket.end(whole.slice(0, i))
        })
    )
  )
  t.same(
    results.filter(({ hasEnded }) => !hasEnded),
    []
  )
  t.same(
    results.flatMap(({ statuses }, i) =>
      statuses.length > 1 || (statuses[0] ?? 400) !== 400 ? [[i, statuses]] : []
    ),
    [],
    'half a request gets a refusal or no response'
  )
  t.same(await (await fetch(`${service.url}/users`)).json(), [], 'changes nothing')
})

t.test('C9 A slow client is disconnected within a minute and delays no other', async (t) => {
  const service = await startServiceProcess(t, {
    env: { APP_ENV: 'test', VAULT_KEYS: VAULT_KEY, LOG_LEVEL: 'INFO' }
  })
  const port = Number(new URL(service.url).port)
  let worst = 0
  const watch = setInterval(() => {
    const startedAt = performance.now()
    fetch(`${service.url}/healthz`).then(
      () => {
        worst = Math.max(worst, performance.now() - startedAt)
      },
      () => {
        worst = Infinity
      }
    )
  }, 500)
  const ends = await Promise.all(
    Object.entries(SLOW_CLIENTS).map(async ([name, send]) => ({
      name,
      ...(await exchangeBytes(port, send, EXCHANGE_TIMEOUT_MS + 3_000))
    }))
  )
  clearInterval(watch)
  for (const { name, tookMs, statuses } of ends) {
    t.comment(`${name}: ${statuses.join()} after ${(tookMs / 1000).toFixed(1)} s`)
  }
  t.same(
    ends.filter(({ hasEnded }) => !hasEnded).map(({ name }) => name),
    [],
    'no connection is open after a minute'
  )
  t.same(
    ends
      .filter(
        ({ text, statuses }) => text !== '' && (!STATUS_LINE.test(text) || statuses[0] !== 408)
      )
      .map(({ name, statuses }) => [name, statuses]),
    [],
    'every response names the reason'
  )
  t.ok(worst < 1_000, `the others were answered within ${Math.round(worst)} ms`)
})
