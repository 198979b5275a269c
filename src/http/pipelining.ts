import { AsyncResource } from 'node:async_hooks'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/**
 * Requests that may wait on one connection for the responses before theirs. Clients that pipeline
 * at all send up to 10 requests ahead; browsers and proxies send none.
 */
const MAX_PIPELINED_REQUESTS = 10

interface Pipeline {
  latest: ServerResponse
  waitingCount: number
}

const pipelines = new WeakMap<Socket, Pipeline>()

/**
 * Starts a request at once unless an earlier one of its connection is not answered: it then waits
 * for that response. A connection with too many waiting requests is closed, which RFC 9112
 * section 9.3.2 allows: the client repeats what was not answered.
 */
export function startInOrder(
  request: IncomingMessage,
  response: ServerResponse,
  start: () => void
): void {
  const { socket } = request
  const pipeline = pipelines.get(socket)
  if (pipeline === undefined) {
    pipelines.set(socket, { latest: response, waitingCount: 0 })
    start()
    return
  }
  const previous = pipeline.latest
  pipeline.latest = response
  if (previous.writableFinished) {
    start()
    return
  }
  if (++pipeline.waitingCount > MAX_PIPELINED_REQUESTS) {
    discardInput(socket)
    socket.destroy()
    return
  }
  previous.once(
    'close',
    AsyncResource.bind(() => {
      pipeline.waitingCount--
      if (!socket.destroyed) start()
    })
  )
}

/** Whether a connection has no request in progress. */
export function isIdle(socket: Socket): boolean {
  return pipelines.get(socket)?.latest.writableFinished ?? true
}

/**
 * Node parses everything that has arrived, also after the socket was destroyed: 64 KiB make a
 * thousand requests. An unknown value from this callback is an error that stops the parser
 * (llhttp, `on_headers_complete`); there is no public way.
 */
function discardInput(socket: Socket): void {
  const { parser } = socket as Socket & { parser?: { onIncoming: () => number } | null }
  if (parser != null) parser.onIncoming = () => -1
}
