import { connect, type Socket } from 'node:net'

/**
 * A process of its own: opens connections that send a header one byte a second and never end it. Prints how many are open when all are,
 * and how many are left each second.
 */
const [port, count] = process.argv.slice(2).map(Number) as [number, number]
const HEADER = `GET /users HTTP/1.1\r\nHost: a\r\nX-Slow: ${'x'.repeat(300)}`
/** So many are opened at once: the queue of a listening socket holds 511. */
const AT_ONCE = 200
const PER_ADDRESS = 5_000
const PARTS = 20
const open = new Set<Socket>()
let sent = 0

async function add(number: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const socket = connect(
      { port, host: '127.0.0.1', localAddress: `127.0.0.${2 + Math.floor(number / PER_ADDRESS)}` },
      () => {
        open.add(socket)
        resolve()
      }
    )
    socket
      .resume()
      .on('error', () => {
        resolve()
      })
      .on('close', () => {
        open.delete(socket)
      })
  })
}

for (let i = 0; i < count; i += AT_ONCE) {
  await Promise.all(
    Array.from({ length: Math.min(AT_ONCE, count - i) }, async (_, j) => {
      await add(i + j)
    })
  )
}
console.log(`open ${open.size}`)
// As strangers do who know nothing of each other: not all in the same instant.
setInterval(() => {
  const all = [...open]
  for (let i = sent % PARTS; i < all.length; i += PARTS) {
    all[i]?.write(HEADER[Math.floor(sent / PARTS)] ?? 'x')
  }
  if (++sent % PARTS === 0) console.log(`left ${open.size}`)
}, 1_000 / PARTS)
