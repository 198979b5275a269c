import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { randomBytes } from 'node:crypto'

/** With two sites nobody has selected one, so no first sync runs beside the next callback. */
const SITE_IDS = [1, 2].map((n) => `8f0c1d3e-2222-4b4b-9a9a-00000000000${n}`)
const TOKEN_BYTES = 750

/** What of Atlassian a callback calls, in this process and without any work of its own. */
export interface TokenEndpoint {
  url: string
  /** Milliseconds from the arrival of each request to the end of its response, since the last reset. */
  getOwnMs: () => number
  reset: () => void
  close: () => void
}

export async function startTokenEndpoint(scopes: string): Promise<TokenEndpoint> {
  let ownMs = 0
  let accountCount = 0
  const token = () => randomBytes(TOKEN_BYTES).toString('base64url')
  const answers: Record<string, () => object> = {
    '/oauth/token': () => ({
      access_token: token(),
      refresh_token: token(),
      token_type: 'Bearer',
      expires_in: 3600,
      scope: scopes
    }),
    '/me': () => ({ account_id: `712020:person-${++accountCount}` }),
    '/oauth/token/accessible-resources': () =>
      SITE_IDS.map((id, i) => ({
        id,
        name: `acme${i}`,
        url: `https://acme${i}.atlassian.net`,
        scopes: scopes.split(' ').filter((scope) => scope.endsWith('jira-work'))
      }))
  }
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const startedAt = performance.now()
    const answer = answers[request.url ?? '']
    request.resume().once('end', () => {
      response
        .writeHead(answer === undefined ? 404 : 200, { 'content-type': 'application/json' })
        .end(JSON.stringify(answer?.() ?? {}), () => {
          if (answer !== undefined) ownMs += performance.now() - startedAt
        })
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    getOwnMs: () => ownMs,
    reset() {
      ownMs = 0
    },
    close() {
      server.closeAllConnections()
      server.close()
    }
  }
}
