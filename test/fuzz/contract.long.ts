import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import t from 'tap'
import { createApiKey } from '../access/helper.ts'
import { pickByScale } from '../auth/helper.ts'
import { chooseSeed } from '../fixtures/prng.ts'
import { arbitraryCalls } from './calls.ts'
import { createResponseChecker } from './check-response.ts'
import { formatOperation, listOperations } from './operations.ts'
import { sendByInject, sendBySocket, isSendable } from './send.ts'
import { startFuzzedService, type ApiAccess } from './service.ts'

const REQUEST_COUNT = Number(process.env.REQUESTS ?? pickByScale(3_000, 100_000))
const BATCH_SIZE = 10
/** Memory is measured after this share of requests, when code is compiled and caches are full. */
const WARM_UP_SHARE = 0.25
const randomSeed = chooseSeed()

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Resident bytes and heap bytes after garbage collection. */
async function measureMemory(): Promise<{ resident: number; objects: number }> {
  for (let i = 0; i < 3; i++) {
    collectGarbage()
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  const { rss, heapUsed } = process.memoryUsage()
  return { resident: rss, objects: heapUsed }
}

for (const [number, access] of (['public', 'protected'] as ApiAccess[]).entries()) {
  t.test(
    `C2 C1 C3 T11 T12 T13 T14 T25 E8 Generated requests get documented answers only (API_ACCESS=${access})`,
    async (t) => {
      const { app, log, headers, callers, fillPlaceholders, reconnectIfNeeded } =
        await startFuzzedService(t, access)
      await app.listen({ host: '127.0.0.1', port: 0 })
      t.comment(`SEED=${randomSeed}`)
      const judge = createResponseChecker()
      const routes = await listOperations(app)
      const problemExamples = new Map<string, string>()
      const statuses = new Map<number, number>()
      let [sent, onSockets, slowest, slowestOf] = [0, 0, 0, '']
      let warm = { resident: 0, objects: 0 }

      for (let round = 0; sent < REQUEST_COUNT / 2; round++) {
        for (const [index, operation] of routes.entries()) {
          await reconnectIfNeeded()
          const among = callers()
          // A rotation ends the key that asks for it.
          const disposable = operation.path.endsWith('/rotate')
            ? (await createApiKey(app, ['keys:rotate'])).headers
            : undefined
          const calls = fc.sample(arbitraryCalls(operation), {
            seed: randomSeed + number * 7919 + round * 104_729 + index,
            numRuns: BATCH_SIZE
          })
          await Promise.all(
            calls.map(async (call, i) => {
              // Every second request has full access; the others rotate through the callers or
              // use the generated headers.
              const full = disposable ?? headers
              const credential = i % 2 === 0 ? full : among[(round + (i - 1) / 2) % among.length]
              const request = {
                ...call,
                url: fillPlaceholders(call.url),
                payload: call.payload === undefined ? undefined : fillPlaceholders(call.payload),
                headers: { ...credential, ...call.headers }
              }
              const socket = i % 5 === 4 && isSendable(request)
              const response = await (socket ? sendBySocket : sendByInject)(app, request).catch(
                (error: unknown) => String(error)
              )
              sent++
              if (socket) onSockets++
              const wrong =
                typeof response === 'string'
                  ? [`no answer: ${response}`]
                  : judge(
                      routes.find(
                        ({ method, path }) =>
                          call.isOffRoute && method === call.method && path === operation.path
                      ) ?? operation,
                      call,
                      response
                    )
              for (const what of wrong) {
                const kind = `${formatOperation(operation)}: ${what}`
                if (!problemExamples.has(kind)) {
                  problemExamples.set(
                    kind,
                    JSON.stringify({
                      ...request,
                      answer: typeof response === 'string' ? '' : response.body.slice(0, 300)
                    }).slice(0, 900)
                  )
                }
              }
              if (typeof response === 'string') return
              statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1)
              if (response.tookMs > slowest) {
                ;[slowest, slowestOf] = [
                  response.tookMs,
                  `${formatOperation(operation)} ${request.url.slice(0, 80)}`
                ]
              }
            })
          )
          if (warm.resident === 0 && sent > (REQUEST_COUNT / 2) * WARM_UP_SHARE) {
            warm = await measureMemory()
          }
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
        [...problemExamples].map(([kind, example]) => `${kind}: ${example}`),
        [],
        'no undocumented response'
      )
      t.same(
        [...log.wrong].map(([kind, line]) => `${kind}: ${line}`),
        [],
        'every log line is one line of JSON with the common fields'
      )
      t.equal(
        [...statuses]
          .filter(([status]) => status < 300)
          .reduce((sum, [, count]) => sum + count, 0) >
          sent / 10,
        true,
        'enough requests succeeded'
      )
      t.equal(({} as { polluted?: unknown }).polluted, undefined, 'T13 no prototype was changed')
      t.equal((await app.inject({ url: '/healthz' })).statusCode, 200, 'the service still answers')
      const after = await measureMemory()
      const growth = after.resident / warm.resident - 1
      const mebi = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`
      t.comment(
        `Resident ${mebi(warm.resident)} (objects ${mebi(warm.objects)}) after a quarter, ` +
          `${mebi(after.resident)} (${mebi(after.objects)}) at the end: ` +
          `${(100 * growth).toFixed(1)} %`
      )
      // A shorter run is still warming up.
      if (REQUEST_COUNT >= 20_000) t.ok(growth <= 0.2, 'memory is back within 20 %')
    }
  )
}
