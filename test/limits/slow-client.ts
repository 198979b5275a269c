import { connect, type Socket } from 'node:net'

/**
 * Child process: opens connections that send an endless header, one byte a second. Prints how
 * many are open at the start, then how many remain each second.
 */
const [port, count] = process.argv.slice(2).map(Number) as [number, number]
const SLOW_HEADER = `GET /users HTTP/1.1\r\nHost: a\r\nX-Slow: ${'x'.repeat(300)}`
/** Connections opened at once; the backlog of a listening socket holds 511. */
const BATCH_SIZE = 200
const MAX_PER_ADDRESS = 5_000
const PARTS_PER_SECOND = 20
const openSockets = new Set<Socket>()
let tickCount = 0

async function openConnection(number: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const socket = connect(
      {
        port,
        host: '127.0.0.1',
        localAddress: `127.0.0.${2 + Math.floor(number / MAX_PER_ADDRESS)}`
      },
      () => {
        openSockets.add(socket)
        resolve()
      }
    )
    socket
      .resume()
      .on('error', () => {
        resolve()
      })
      .on('close', () => {
        openSockets.delete(socket)
      })
  })
}

for (let i = 0; i < count; i += BATCH_SIZE) {
  await Promise.all(
    Array.from({ length: Math.min(BATCH_SIZE, count - i) }, async (_, j) => {
      await openConnection(i + j)
    })
  )
}
console.log(`open ${openSockets.size}`)
// Spreads the writes over time, as independent clients do.
setInterval(() => {
  const all = [...openSockets]
  for (let i = tickCount % PARTS_PER_SECOND; i < all.length; i += PARTS_PER_SECOND) {
    all[i]?.write(SLOW_HEADER[Math.floor(tickCount / PARTS_PER_SECOND)] ?? 'x')
  }
  if (++tickCount % PARTS_PER_SECOND === 0) console.log(`left ${openSockets.size}`)
}, 1_000 / PARTS_PER_SECOND)
