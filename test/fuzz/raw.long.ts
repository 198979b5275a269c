import t from 'tap'
import { KEY } from '../helper.ts'
import { start } from '../process/child.ts'
import { STREAMS } from '../fixtures/streams.ts'
import { exchange, LONGEST_MS, SLOW } from './exchange.ts'

const REFUSAL = /^HTTP\/1\.1 \d{3} /

t.test(
  `C9 T15 ${STREAMS.length} streams of bytes to the real process: exactly the answers they may have, no second request, nothing left open`,
  async (t) => {
    const service = await start(t, {
      env: { APP_ENV: 'test', VAULT_KEYS: KEY, LOG_LEVEL: 'DEBUG' }
    })
    const port = Number(new URL(service.url).port)
    const [wrong, hung]: [string[], string[]] = [[], []]
    let slowest = 0
    await Promise.all(
      STREAMS.map(async ([name, bytes, expected]) => {
        const { statuses, text, tookMs, ended } = await exchange(port, (socket) => {
          socket.write(bytes)
        })
        slowest = Math.max(slowest, tookMs)
        if (!ended) hung.push(name)
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
    t.same(wrong, [], 'each stream is answered as the table says')
    t.same(hung, [], 'no connection is open after 60 s')
    t.notOk(/"path":"\/smuggled/.test(service.output()), 'nobody was served a hidden request')
    t.comment(`the longest took ${Math.round(slowest)} ms`)
    t.equal((await fetch(`${service.url}/healthz`)).status, 200, 'and the service goes on')
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
  const service = await start(t, { env: { APP_ENV: 'test', VAULT_KEYS: KEY, LOG_LEVEL: 'INFO' } })
  const port = Number(new URL(service.url).port)
  const whole =
    'POST /users HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{"email":"a@b.c\r\n3\r\no"}\r\n0\r\n\r\n'
  const heard = await Promise.all(
    Array.from(
      { length: whole.length },
      async (_, i) =>
        await exchange(port, (socket) => {
          socket.end(whole.slice(0, i))
        })
    )
  )
  t.same(
    heard.filter(({ ended }) => !ended),
    []
  )
  t.same(
    heard.flatMap(({ statuses }, i) =>
      statuses.length > 1 || (statuses[0] ?? 400) !== 400 ? [[i, statuses]] : []
    ),
    [],
    'half a request is refused or nothing'
  )
  t.same(await (await fetch(`${service.url}/users`)).json(), [], 'and does nothing')
})

t.test(
  'C9 Who is slow is not waited for longer than a minute, and keeps nobody waiting',
  async (t) => {
    const service = await start(t, { env: { APP_ENV: 'test', VAULT_KEYS: KEY, LOG_LEVEL: 'INFO' } })
    const port = Number(new URL(service.url).port)
    let worst = 0
    const watch = setInterval(() => {
      const begun = performance.now()
      fetch(`${service.url}/healthz`).then(
        () => {
          worst = Math.max(worst, performance.now() - begun)
        },
        () => {
          worst = Infinity
        }
      )
    }, 500)
    const ends = await Promise.all(
      Object.entries(SLOW).map(async ([name, send]) => ({
        name,
        ...(await exchange(port, send, LONGEST_MS + 3_000))
      }))
    )
    clearInterval(watch)
    for (const { name, tookMs, statuses } of ends) {
      t.comment(`${name}: ${statuses.join()} after ${(tookMs / 1000).toFixed(1)} s`)
    }
    t.same(
      ends.filter(({ ended }) => !ended).map(({ name }) => name),
      [],
      'no connection is open after a minute'
    )
    t.same(
      ends
        .filter(({ text, statuses }) => text !== '' && (!REFUSAL.test(text) || statuses[0] !== 408))
        .map(({ name, statuses }) => [name, statuses]),
      [],
      'who hears anything hears why'
    )
    t.ok(worst < 1_000, `the others were answered within ${Math.round(worst)} ms`)
  }
)
