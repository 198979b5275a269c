import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'

/** A port of 127.0.0.1 without a listener. */
export async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

export async function canConnect(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    }).on('error', () => {
      resolve(false)
    })
  })
}

/** Starts listening on a free port and returns the base URL. */
export async function startListening(app: FastifyInstance): Promise<string> {
  await app.listen({ host: '127.0.0.1', port: 0 })
  return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
}

/**
 * The path and query of the page that a `Link` header names as the next one, resolved against the
 * URL of the request as clients do; undefined on the last page.
 */
export function resolveNextPage(requestUrl: string, link: unknown): string | undefined {
  const reference = /^<([^>]+)>; rel="next"$/.exec(String(link ?? ''))?.[1]
  if (reference === undefined) return undefined
  const { pathname, search } = new URL(reference, new URL(requestUrl, 'http://localhost'))
  return pathname + search
}
