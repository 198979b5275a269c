import { AppError } from '../errors.ts'
import type { Http, Log } from '../http.ts'
import type { Grants } from '../oauth/grants.ts'
import { createRead } from '../providers/atlassian.ts'
import type { Provider } from '../providers/index.ts'
import type { Collection } from '../providers/provider.ts'
import type { Connection, Site } from '../store/grants.ts'
import type { Store } from '../store/index.ts'
import type { Run } from '../store/runs.ts'

export interface SyncSettings {
  store: Store
  grants: Grants
  http: Http
  now: () => number
  /** The gateway that serves a grant. */
  apiUrlOf: (connection: Connection) => Promise<string>
}

/** Copies what a person's grant reaches into the store, page by page, with honest counts. */
export function createSync ({ store, grants, http, now, apiUrlOf }: SyncSettings) {
  const stopping = new AbortController()
  const running = new Set<Promise<void>>()

  /**
   * Queues a run and returns it at once; a second request for the same owner and product joins the first.
   *
   * @param log names the request and the product
   * @throws AppError `not_connected`
   */
  async function start (ownerId: number, provider: Provider, log: Log): Promise<Run> {
    stopping.signal.throwIfAborted()
    const connection = await store.grants.connection(ownerId, provider.id)
    if (connection === undefined) throw new AppError('not_connected', `This user has not connected ${provider.title}. Start at /auth/${provider.id}/login.`)
    const { run, created } = await store.runs.enqueue(ownerId, provider.id)
    if (created) {
      const work = perform(run, provider, connection, log).finally(() => running.delete(work))
      running.add(work)
    }
    return run
  }

  async function perform (run: Run, provider: Provider, connection: Connection, log: Log): Promise<void> {
    const calls = { sent: 0 }
    try {
      await store.runs.begin(run.id)
      log.info({ event: 'sync_started', run_id: run.id, owner_id: run.ownerId })
      await copy(run, provider, connection, calls, log)
      await store.runs.end(run.id, calls.sent)
      log.info({ event: 'sync_succeeded', run_id: run.id })
    } catch (error) {
      const failure = error instanceof AppError ? error : new AppError('internal_error', 'Internal Server Error', { cause: error })
      log.error({ event: 'sync_error', run_id: run.id, error_code: failure.code, err: error }, failure.message)
      await store.runs.end(run.id, calls.sent, { code: failure.code, detail: failure.message })
        .catch((err: unknown) => { log.error({ event: 'sync_error', run_id: run.id, err }, 'The end of the run could not be recorded.') })
    }
  }

  async function copy (run: Run, provider: Provider, connection: Connection, calls: { sent: number }, log: Log): Promise<void> {
    if (connection.sites.length === 0) throw new AppError('needs_site', `The consent reaches no site with ${provider.title}. Connect again and choose one.`)
    const apiUrl = await apiUrlOf(connection)
    for (const site of connection.sites) {
      const read = createRead({
        http,
        apiUrl,
        provider,
        site,
        accessToken: (refused) => grants.accessToken(connection.grantId, log, refused),
        now,
        log,
        signal: stopping.signal,
        onCall: () => { calls.sent++ }
      })
      for (const collection of provider.collections) await copyCollection(run, collection, site, read, calls)
    }
  }

  /** The cursor is where a later run could go on; each page and its counts are saved before the next is fetched. */
  async function copyCollection (run: Run, collection: Collection, site: Site, read: Parameters<Collection['pages']>[0], calls: { sent: number }): Promise<void> {
    const table = store[collection.name] as Store['projects']
    for await (const page of collection.pages(read, site, null)) {
      stopping.signal.throwIfAborted()
      const changes = await table.savePage(run.ownerId, site.cloudId, page.items as Parameters<typeof table['savePage']>[2])
      await store.runs.progress(run.id, changes, calls.sent)
    }
  }

  return {
    start,

    /** Ends what runs; a stopped run says so. Resolves when the last one has. */
    async stop (): Promise<void> {
      stopping.abort(new AppError('interrupted', 'The service was stopped during the run. Start it again.'))
      await Promise.allSettled(running)
    }
  }
}

export type Sync = ReturnType<typeof createSync>
