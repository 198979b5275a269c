import type { Test } from 'tap'
import { createStore } from '../../src/store/index.ts'
import type { Engine } from '../../src/store/engine.ts'

export const HOUR_MS = 3_600_000
export const START = Date.UTC(2026, 10, 23)
export const project = (key: string, name = 'N') => ({ key, name, lead: null, url: null })
export const flow = (stateHash: string, expiresAt: Date) => ({ stateHash, provider: 'jira', clientId: 'c', redirectUri: 'https://a.example/cb', callerState: 'mine', returnUrl: null, scopes: 's', changeAccount: 0, browserHash: null, expiresAt })

/** A store on an engine of its own, whose time stands still. */
export async function freshStore (t: Test, open: () => Engine | Promise<Engine>) {
  const engine = await open()
  t.teardown(() => engine.close())
  let now = START
  const store = createStore(engine, () => now)
  return { engine, store, pass: (ms: number) => { now += ms } }
}
