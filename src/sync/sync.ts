import { featuresOf, scopesMissing } from '../connections/features.ts'
import { DISCONNECTED } from '../connections/leave.ts'
import { askFor, checkConnection, noteRefusal, type SiteSettings } from '../connections/sites.ts'
import { AppError, type ErrorCode } from '../errors.ts'
import type { Log } from '../http.ts'
import { createRead } from '../providers/atlassian.ts'
import type { Provider } from '../providers/index.ts'
import type { Collection } from '../providers/provider.ts'
import type { Standing } from '../store/connections.ts'
import type { Store } from '../store/index.ts'
import type { Site } from '../store/site.ts'
import type { Run } from '../store/runs.ts'

/** One run under way in this process. */
interface Work { run: Run, stopping: AbortController, done: Promise<void> }

/** What a run needs to know wherever it is. */
interface Context { run: Run, provider: Provider, standing: Standing, log: Log, signal: AbortSignal, calls: { sent: number } }

/** Copies what a person's grant reaches into the store, page by page, with honest counts. */
export function createSync (settings: SiteSettings) {
  const { store } = settings
  const underWay = new Map<number, Work>()
  let stopped = false

  /**
   * Queues a run and returns it at once; a second request for the same owner and product joins the first.
   *
   * @param log names the request and the product
   * @throws AppError `not_connected`
   */
  async function start (ownerId: number, provider: Provider, log: Log): Promise<Run> {
    if (stopped) throw new AppError('interrupted', 'The service is stopping.')
    const standing = await store.connections.get(ownerId, provider.id)
    if (standing === undefined) throw new AppError('not_connected', `This user has not connected ${provider.title}. Start at /auth/${provider.id}/login.`)
    const { run, created } = await store.runs.enqueue(ownerId, provider.id)
    if (created) {
      const stopping = new AbortController()
      const done = perform({ run, provider, standing, log, signal: stopping.signal, calls: { sent: 0 } }).finally(() => underWay.delete(run.id))
      underWay.set(run.id, { run, stopping, done })
    }
    return run
  }

  async function perform (context: Context): Promise<void> {
    const { run, log, calls } = context
    try {
      if (!await store.runs.begin(run.id)) throw ended()
      log.info({ event: 'sync_started', run_id: run.id, owner_id: run.ownerId })
      await copy(context)
      await store.runs.end(run.id, calls.sent)
      log.info({ event: 'sync_succeeded', run_id: run.id })
    } catch (error) {
      const failure = await explained(context, error instanceof AppError ? error : new AppError('internal_error', 'Internal Server Error', { cause: error }))
      log.error({ event: 'sync_error', run_id: run.id, error_code: failure.code, err: error }, failure.message)
      await store.runs.end(run.id, calls.sent, { code: failure.code, detail: failure.message })
        .catch((err: unknown) => { log.error({ event: 'sync_error', run_id: run.id, err }, 'The end of the run could not be recorded.') })
    }
  }

  /** A site that cannot be reached may be gone from the consent: then the connection says so too. */
  async function explained ({ run, provider, log }: Context, failure: AppError): Promise<AppError> {
    if (failure.code !== 'site_unreachable') return failure
    const now = await checkConnection(settings, run.ownerId, provider, log).catch(() => undefined)
    const { state, errorCode, errorDetail } = now?.connection ?? {}
    return state === 'needs_site' ? new AppError(errorCode as ErrorCode, errorDetail ?? '', { cause: failure }) : failure
  }

  async function copy (context: Context): Promise<void> {
    const { provider, standing: { connection, grant }, log, signal, calls } = context
    if (connection.state === 'needs_site') throw new AppError(connection.errorCode as ErrorCode, connection.errorDetail ?? '')
    const missing = scopesMissing(provider, featuresOf(provider, grant.scopes.split(' '), { refused: [] }))
    if (missing !== null) throw new AppError('scope_missing', missing.detail)
    const apiUrl = settings.apiUrlOf(grant)
    const ask = askFor(settings, grant.id, log, { signal, onCall: () => { calls.sent++ } })
    for (const site of connection.bound) {
      const read = createRead({ ask, apiUrl, provider, site, log, signal })
      for (const collection of provider.collections) await copyCollection(context, collection, site, read)
    }
  }

  /** The cursor is where a later run could go on; each page and its counts are saved before the next is fetched. */
  async function copyCollection (context: Context, collection: Collection, site: Site, read: Parameters<Collection['pages']>[0]): Promise<void> {
    const { run, provider, standing, log, signal, calls } = context
    const table = store[collection.name] as Store['projects']
    const feature = provider.features.find(({ copies }) => copies === collection.name)?.name ?? collection.name
    try {
      for await (const page of collection.pages(read, site, null)) {
        signal.throwIfAborted()
        const changes = await table.savePage(run.ownerId, site.cloudId, page.items as Parameters<typeof table['savePage']>[2], store.runs.stillLive(run.id))
        // Another process may have ended the run, and erased what it copied.
        if (changes === undefined) throw ended()
        await store.runs.progress(run.id, changes, calls.sent)
      }
      if (standing.connection.refused.includes(feature)) await noteRefusal(store, standing, feature, false, log)
    } catch (error) {
      if (error instanceof AppError && error.code === 'scope_missing') await noteRefusal(store, standing, feature, true, log)
      throw error
    }
  }

  return {
    start,

    /** Ends what is being copied for an owner, here or elsewhere; resolves when it has ended here. */
    async stopFor (ownerId: number, provider: string): Promise<void> {
      await store.runs.endActive(ownerId, provider, DISCONNECTED)
      const here = [...underWay.values()].filter(({ run }) => run.ownerId === ownerId && run.provider === provider)
      for (const { stopping } of here) stopping.abort(ended())
      await Promise.allSettled(here.map(({ done }) => done))
    },

    /** Ends what runs; a stopped run says so. Resolves when the last one has. */
    async stop (): Promise<void> {
      stopped = true
      for (const { stopping } of underWay.values()) stopping.abort(new AppError('interrupted', 'The service was stopped during the run. Start it again.'))
      await Promise.allSettled([...underWay.values()].map(({ done }) => done))
    }
  }
}

function ended (): AppError {
  return new AppError(DISCONNECTED.code, DISCONNECTED.detail)
}

export type Sync = ReturnType<typeof createSync>
