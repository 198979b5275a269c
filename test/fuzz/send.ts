import type { AddressInfo } from 'node:net'
import type { FastifyInstance, InjectOptions } from 'fastify'
import { request, type Dispatcher } from 'undici'
import type { TimedResponse } from './check-response.ts'

export type FuzzRequest = {
  method: string
  url: string
  headers: Record<string, string>
  payload?: string | undefined
}

/**
 * Sends a request without a socket, including values that a socket would refuse, such as a line
 * break in a header.
 */
export async function sendByInject(
  app: FastifyInstance,
  { method, url, headers, payload }: FuzzRequest
): Promise<TimedResponse> {
  const startedAt = performance.now()
  const answer = await app.inject({
    method: method as 'GET',
    url,
    headers,
    ...(payload === undefined ? {} : { payload })
  } satisfies InjectOptions)
  return {
    status: answer.statusCode,
    header: (name) => toHeaderText(answer.headers[name]),
    body: answer.body,
    tookMs: performance.now() - startedAt
  }
}

/**
 * Whether a conforming client can send the request: Latin-1 headers without control characters,
 * and a request line of allowed length.
 */
export function isSendable({ method, url, headers, payload }: FuzzRequest): boolean {
  const text = Object.values(headers)
  return (
    method !== 'HEAD' &&
    !('host' in headers) &&
    !('content-length' in headers) &&
    text.every((value) => /^[\t\x20-\x7e\xa0-\xff]*$/.test(value)) &&
    url.length + text.join().length < 8_000 &&
    /^[\x21-\x7e]*$/.test(url) &&
    (payload ?? '').length < 60_000 &&
    !/^(expect|te|transfer-encoding|connection|upgrade)$/m.test(Object.keys(headers).join('\n'))
  )
}

/** Sends the request over a real connection. */
export async function sendBySocket(
  app: FastifyInstance,
  { method, url, headers, payload }: FuzzRequest
): Promise<TimedResponse> {
  const startedAt = performance.now()
  const {
    statusCode,
    headers: responseHeaders,
    body
  } = await request(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}${url}`, {
    method: method as Dispatcher.HttpMethod,
    headers,
    body: payload ?? null,
    headersTimeout: 20_000,
    bodyTimeout: 20_000
  })
  return {
    status: statusCode,
    header: (name) => toHeaderText(responseHeaders[name]),
    body: await body.text(),
    tookMs: performance.now() - startedAt
  }
}

function toHeaderText(header: unknown): string | undefined {
  return header === undefined ? undefined : String(header)
}
