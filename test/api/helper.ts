import { STATUS_CODES } from 'node:http'
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify'
import type { Test } from 'tap'
import { resolveNextPage } from '../network.ts'

export const REQUEST_ID_PATTERN = /^[A-Za-z0-9._-]{1,64}$/
const PROBLEM_FIELDS = ['type', 'title', 'status', 'detail', 'code', 'request_id']

/** A response of `inject` or `fetch`. */
export interface TestResponse {
  status: number
  header: (name: string) => string | undefined
  body: string
}

function toTestResponse({ statusCode, headers, body }: LightMyRequestResponse): TestResponse {
  return { status: statusCode, header: (name) => headers[name] as string | undefined, body }
}

/**
 * Asserts that the response is exactly this problem document (contract section 5), and returns
 * it.
 */
export function assertProblem(
  t: Test,
  received: LightMyRequestResponse | TestResponse,
  status: number,
  code: string,
  name = ''
): Record<string, any> {
  const answer = 'statusCode' in received ? toTestResponse(received) : received
  const title = `${name === '' ? '' : `${name}: `}${status} ${code}`
  let body: Record<string, any> = {}
  try {
    body = JSON.parse(answer.body) as Record<string, any>
  } catch {
    t.fail(`${title}: not JSON but ${answer.body.slice(0, 200)}`)
  }
  const optional = [
    ...(status === 422 ? ['errors'] : []),
    ...(code === 'oauth_not_configured' ? ['missing'] : []),
    ...(code === 'cursor_expired' ? ['cursor'] : [])
  ]
  t.match(
    {
      status: answer.status,
      type: answer.header('content-type'),
      same: body.request_id === answer.header('x-request-id'),
      members: Object.keys(body).sort(),
      document: body
    },
    {
      status,
      type: /^application\/problem\+json(; charset=utf-8)?$/,
      same: true,
      members: [...PROBLEM_FIELDS, ...optional].sort(),
      document: {
        type: 'about:blank',
        title: STATUS_CODES[status],
        status,
        code,
        request_id: REQUEST_ID_PATTERN,
        detail: /^[A-Z].*[^ ]$/
      }
    },
    title
  )
  return body
}

/** Creates a caller: `post('/users', { … })`. A string payload is sent unchanged. */
export function createCaller(app: FastifyInstance, defaults: InjectOptions = {}) {
  const post = (url: string, payload?: unknown, headers: Record<string, string> = {}) =>
    app.inject({
      ...defaults,
      method: 'POST',
      url,
      headers: payload === undefined ? headers : { 'content-type': 'application/json', ...headers },
      ...(payload === undefined
        ? {}
        : {
            payload:
              typeof payload === 'string' || Buffer.isBuffer(payload)
                ? payload
                : JSON.stringify(payload)
          })
    })
  const get = (url: string, headers: Record<string, string> = {}) =>
    app.inject({ ...defaults, method: 'GET', url, headers })
  return { post, get }
}

/** The items of a list response, with or without an envelope. */
export const getItems = (body: any) => (Array.isArray(body) ? body : body.items)

/**
 * Follows `Link: rel="next"` to the end.
 * @returns the items of every page
 */
export async function followPages(
  app: FastifyInstance,
  start: string,
  getItems: (body: any) => any[] = (body) => body
): Promise<{ pages: any[][]; links: string[] }> {
  const pages: any[][] = []
  const links: string[] = []
  for (let url: string | undefined = start; url !== undefined;) {
    const response = await app.inject(url)
    if (response.statusCode !== 200) {
      throw new Error(`${url}: ${response.statusCode} ${response.body}`)
    }
    pages.push(getItems(response.json()))
    const { link } = response.headers
    url = resolveNextPage(url, link)
    if (url !== undefined) links.push(url)
    else if (link !== undefined) throw new Error(`Not a Link header: ${String(link)}`)
  }
  return { pages, links }
}
