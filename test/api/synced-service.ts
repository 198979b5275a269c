import type { LightMyRequestResponse } from 'fastify'
import { Browser, buildAppWithSandbox, waitForRun, type TestApp } from '../helper.ts'
import type { RunningSandbox } from '../sandbox/helper.ts'
import type { TestContext } from '../types.ts'

export interface SyncedService extends TestApp {
  sandbox: RunningSandbox
  get: (url: string, headers?: Record<string, string>) => Promise<LightMyRequestResponse>
  /** Posts an item by hand. */
  post: (url: string, payload: object) => Promise<LightMyRequestResponse>
  /** Runs a sync and waits for its end. */
  runSync: (product: string, mode?: string) => Promise<Record<string, any>>
}

export type SyncedServiceOptions = Parameters<typeof buildAppWithSandbox>[1]

/** A service whose first user has connected and copied these products. */
export async function startSyncedService(
  t: TestContext,
  products: string[] = ['jira', 'confluence'],
  options: SyncedServiceOptions = {}
): Promise<SyncedService> {
  const service = await buildAppWithSandbox(t, {
    ...options,
    sandbox: { indexLagMs: 0, ...options.sandbox }
  })
  const { app } = service
  const browser = new Browser(app)
  for (const product of products) await browser.connect(product)
  const runSync = async (product: string, mode = 'full'): Promise<Record<string, any>> => {
    const url = `/integrations/${product}/sync?mode=${mode}`
    const answer = await app.inject({ method: 'POST', url })
    if (answer.statusCode >= 300) throw new Error(answer.body)
    return await waitForRun(app, product, answer.json().id)
  }
  for (const [i, product] of products.entries()) {
    const run = await waitForRun(app, product, i + 1)
    if (run.state !== 'succeeded') throw new Error(JSON.stringify(run.error))
  }
  return {
    ...service,
    get: async (url, headers = {}) => await app.inject({ method: 'GET', url, headers }),
    post: async (url, payload) => await app.inject({ method: 'POST', url, payload }),
    runSync
  }
}

/** The changes in a feed response, one line each. */
export function formatChanges(answer: LightMyRequestResponse): string[] {
  return answer
    .json()
    .changes.map(
      ({ collection, op, item, id }: any) => `${op} ${collection} ${item?.key ?? item?.title ?? id}`
    )
}

/** Posts a project by hand. */
export async function postProject(
  service: SyncedService,
  key: string,
  name = 'By hand',
  owner = 1
): Promise<LightMyRequestResponse> {
  return await service.post('/jira/projects', { owner_id: owner, key, name })
}

export async function measureDuration<T>(work: Promise<T>): Promise<[result: T, ms: number]> {
  const startedAt = performance.now()
  return [await work, performance.now() - startedAt]
}
