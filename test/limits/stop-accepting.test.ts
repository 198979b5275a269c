import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { stopAccepting } from '../../src/http/stop-accepting.ts'

const CONNECTION_COUNT = 20

t.test(
  'A stopping service accepts the connections that the kernel has accepted, then none',
  async (t) => {
    const server = createServer((socket) => socket.end('answered'))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const received: Array<Promise<string>> = []
    // One connection waits in each turn of the event loop.
    const connectOne = () => {
      const socket: Socket = connect(port, '127.0.0.1')
      received.push(text(socket).catch(String))
      if (received.length < CONNECTION_COUNT) setImmediate(connectOne)
    }
    connectOne()
    await stopAccepting(server)
    t.same(await Promise.all(received), Array(CONNECTION_COUNT).fill('answered'))
    t.equal(server.listening, false)
    const [refused] = (await once(connect(port, '127.0.0.1'), 'error')) as [NodeJS.ErrnoException]
    t.equal(refused.code, 'ECONNREFUSED')
  }
)
