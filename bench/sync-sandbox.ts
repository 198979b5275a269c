import type { AddressInfo } from 'node:net'
import { parentPort, workerData } from 'node:worker_threads'
import { buildSandbox } from '../src/sandbox/server.ts'
import { DEMO_CLIENT } from '../src/sandbox/oauth/clients.ts'

/**
 * A sandbox with the given number of pages, as a thread of the measuring process or as a process.
 * Sends its port.
 */
const pages = Number(parentPort === null ? process.argv[2] : workerData)
const app = buildSandbox({
  clients: [{ ...DEMO_CLIENT, access: 'resource', redirectUris: () => true }],
  sizes: { projects: 1, issues: 1, spaces: 50, pages },
  burst: 1_000_000_000,
  hourlyPoints: 1_000_000_000
})
process.once('disconnect', () => {
  app.close().then(
    () => process.exit(),
    () => process.exit(1)
  )
})
await app.listen({ host: '127.0.0.1', port: 0 })
const { port } = app.server.address() as AddressInfo
if (parentPort === null) process.send?.(port)
else parentPort.postMessage(port)
