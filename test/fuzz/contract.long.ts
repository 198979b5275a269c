import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import t from 'tap'
import { many } from '../auth/helper.ts'
import { seed } from '../fixtures/prng.ts'
import { callsFor } from './calls.ts'
import { createJudge } from './check-response.ts'
import { nameOf, operations } from './operations.ts'
import { injected, over, sendable } from './send.ts'
import { fuzzed, type Access } from './service.ts'

const REQUESTS = Number(process.env.REQUESTS ?? many(3_000, 100_000))
const BATCH = 10
/** Memory is measured from here on: until then code is compiled and caches fill. */
const WARM_SHARE = 0.25
const sown = seed()

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Bytes that the process holds, and those of its objects, once what is not needed is gone. */
async function heldBytes(): Promise<{ resident: number; objects: number }> {
  for (let i = 0; i < 3; i++) {
    collect()
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  const { rss, heapUsed } = process.memoryUsage()
  return { resident: rss, objects: heapUsed }
}

for (const [number, access] of (['public', 'protected'] as Access[]).entries()) {
  t.test(
    `C2 C1 C3 T11 T12 T13 T14 T25 E8 ${REQUESTS / 2} requests made from the OpenAPI document, from callers of every kind (API_ACCESS=${access}, seed ${sown}, SEED repeats it): no 5xx, no undocumented status, body or content type, one JSON line for every event`,
    async (t) => {
      const { app, log, headers, callers, filled, renew } = await fuzzed(t, access)
      await app.listen({ host: '127.0.0.1', port: 0 })
      const judge = createJudge()
      const routes = await operations(app)
      const found = new Map<string, string>()
      const statuses = new Map<number, number>()
      let [sent, onSockets, slowest, slowestOf] = [0, 0, 0, '']
      let warm = { resident: 0, objects: 0 }

      for (let round = 0; sent < REQUESTS / 2; round++) {
        for (const [index, operation] of routes.entries()) {
          await renew()
          const among = callers()
          const calls = fc.sample(callsFor(operation), {
            seed: sown + number * 7919 + round * 104_729 + index,
            numRuns: BATCH
          })
          await Promise.all(
            calls.map(async (call, i) => {
              // Every second time whoever may do all; else each caller in turn, or what the headers bring along.
              const credential = i % 2 === 0 ? headers : among[(round + (i - 1) / 2) % among.length]
              const request = {
                ...call,
                url: filled(call.url),
                payload: call.payload === undefined ? undefined : filled(call.payload),
                headers: { ...credential, ...call.headers }
              }
              const socket = i % 5 === 4 && sendable(request)
              const given = await (socket ? over : injected)(app, request).catch((error: unknown) =>
                String(error)
              )
              sent++
              if (socket) onSockets++
              const wrong =
                typeof given === 'string'
                  ? [`no answer: ${given}`]
                  : judge(
                      routes.find(
                        ({ method, path }) =>
                          call.aside && method === call.method && path === operation.path
                      ) ?? operation,
                      call,
                      given
                    )
              for (const what of wrong) {
                const kind = `${nameOf(operation)}: ${what}`
                if (!found.has(kind)) {
                  found.set(
                    kind,
                    JSON.stringify({
                      ...request,
                      answer: typeof given === 'string' ? '' : given.body.slice(0, 300)
                    }).slice(0, 900)
                  )
                }
              }
              if (typeof given === 'string') return
              statuses.set(given.status, (statuses.get(given.status) ?? 0) + 1)
              if (given.tookMs > slowest) {
                ;[slowest, slowestOf] = [
                  given.tookMs,
                  `${nameOf(operation)} ${request.url.slice(0, 80)}`
                ]
              }
            })
          )
          if (warm.resident === 0 && sent > (REQUESTS / 2) * WARM_SHARE) warm = await heldBytes()
        }
      }

      t.comment(
        `${sent} requests to ${routes.length} routes, ${onSockets} of them over sockets; ${[
          ...statuses
        ]
          .sort()
          .map(([status, count]) => `${status}: ${count}`)
          .join(', ')}`
      )
      t.comment(
        `The slowest took ${Math.round(slowest)} ms: ${slowestOf}. ${log.count()} log lines`
      )
      t.same(
        [...found].map(([kind, example]) => `${kind}: ${example}`),
        [],
        'nothing that the document does not say'
      )
      t.same(
        [...log.wrong].map(([kind, line]) => `${kind}: ${line}`),
        [],
        'every log line is one line of JSON with what every line has'
      )
      t.equal(
        [...statuses]
          .filter(([status]) => status < 300)
          .reduce((sum, [, count]) => sum + count, 0) >
          sent / 10,
        true,
        'a good part was right, so the rest of the test saw something'
      )
      t.equal(({} as { polluted?: unknown }).polluted, undefined, 'T13 no prototype was changed')
      t.equal((await app.inject({ url: '/healthz' })).statusCode, 200, 'and the service goes on')
      const after = await heldBytes()
      const growth = after.resident / warm.resident - 1
      const mebi = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`
      t.comment(
        `Resident ${mebi(warm.resident)} (objects ${mebi(warm.objects)}) after a quarter, ${mebi(after.resident)} (${mebi(after.objects)}) at the end: ${(100 * growth).toFixed(1)} %`
      )
      // A short run is still warming up.
      if (REQUESTS >= 20_000) t.ok(growth <= 0.2, 'memory is back within 20 %')
    }
  )
}
