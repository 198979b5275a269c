import type { LightMyRequestResponse } from 'fastify'
import { Browser, connected, synced, type Built, type Test } from '../helper.ts'
import type { Running } from '../sandbox/helper.ts'

export interface Copied extends Built {
  sandbox: Running
  get: (url: string, headers?: Record<string, string>) => Promise<LightMyRequestResponse>
  /** Posts an item by hand. */
  post: (url: string, payload: object) => Promise<LightMyRequestResponse>
  /** Runs a copy to its end. */
  copy: (product: string, mode?: string) => Promise<Record<string, any>>
}

export type Options = Parameters<typeof connected>[1]

/** The service with these products connected by its first user, and copied. */
export async function copied(
  t: Test,
  products: string[] = ['jira', 'confluence'],
  options: Options = {}
): Promise<Copied> {
  const service = await connected(t, { ...options, sandbox: { indexLagMs: 0, ...options.sandbox } })
  const { app } = service
  const browser = new Browser(app)
  for (const product of products) await browser.connect(product)
  const copy = async (product: string, mode = 'full'): Promise<Record<string, any>> => {
    const { id } = (
      await app.inject({ method: 'POST', url: `/integrations/${product}/sync?mode=${mode}` })
    ).json()
    return await synced(app, product, id)
  }
  for (const [i, product] of products.entries()) {
    const run = await synced(app, product, i + 1)
    if (run.state !== 'succeeded') throw new Error(JSON.stringify(run.error))
  }
  return {
    ...service,
    get: async (url, headers = {}) => await app.inject({ method: 'GET', url, headers }),
    post: async (url, payload) => await app.inject({ method: 'POST', url, payload }),
    copy
  }
}

/** What an answer of the feed tells, one line for each change. */
export function told(answer: LightMyRequestResponse): string[] {
  return answer
    .json()
    .changes.map(
      ({ collection, op, item, id }: any) => `${op} ${collection} ${item?.key ?? item?.title ?? id}`
    )
}

/** Posts a project by hand. */
export async function hand(
  service: Copied,
  key: string,
  name = 'By hand',
  owner = 1
): Promise<LightMyRequestResponse> {
  return await service.post('/jira/projects', { owner_id: owner, key, name })
}

export async function timed<T>(work: Promise<T>): Promise<[result: T, ms: number]> {
  const began = performance.now()
  return [await work, performance.now() - began]
}
