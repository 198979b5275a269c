import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { generate } from 'selfsigned'
import type { TestContext } from '../types.ts'

/**
 * A proxy that answers only CONNECT, and connects every host name to this machine: a request to
 * `sandbox.test` can arrive only through it.
 */
export async function startConnectProxy(t: TestContext) {
  const state = {
    /** The targets of the tunnels, in order. */
    targets: [] as string[],
    credentials: new Set<string | undefined>(),
    mode: 'open' as 'open' | 'silent' | 'refusing'
  }
  const sockets = new Set<Socket>()
  const server = createHttpServer((_request, response) => {
    response.writeHead(405).end()
  })
  server.on('connection', (socket) => sockets.add(socket))
  server.on('connect', ({ url = '', headers }, client: Socket) => {
    state.targets.push(url)
    state.credentials.add(headers['proxy-authorization'])
    client.on('error', () => client.destroy())
    if (state.mode === 'silent') return
    if (state.mode === 'refusing') {
      client.end('HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n')
      return
    }
    const upstream = connect(Number(url.split(':').at(-1)), '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection Established\r\n\r\n')
      upstream.pipe(client).pipe(upstream)
    })
    sockets.add(upstream)
    upstream.on('error', () => client.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, state }
}

/**
 * Serves an http server over TLS, and makes this process trust the certificate.
 *
 * @returns the port
 */
export async function serveOverTls(t: TestContext, target: string): Promise<number> {
  const pem = await generate([{ name: 'commonName', value: 'localhost' }], {
    extensions: [
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'sandbox.test' },
          { type: 7, ip: '127.0.0.1' }
        ]
      }
    ]
  })
  const previous = getCACertificates()
  setDefaultCACertificates([...previous, pem.cert])
  t.teardown(() => setDefaultCACertificates(previous))
  const server = createHttpsServer({ key: pem.private, cert: pem.cert })
  server.on('request', (incoming, outgoing) => {
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('end', () => {
      const { host, connection, 'content-length': length, ...headers } = incoming.headers
      const body = chunks.length === 0 ? null : Buffer.concat(chunks)
      fetch(target + (incoming.url ?? ''), {
        method: incoming.method ?? 'GET',
        headers: headers as Record<string, string>,
        body,
        redirect: 'manual'
      }).then(
        async (response) => {
          outgoing.writeHead(response.status, {
            'content-type': response.headers.get('content-type') ?? 'text/plain'
          })
          outgoing.end(Buffer.from(await response.arrayBuffer()))
        },
        () => outgoing.destroy()
      )
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}
