import { StartError } from '../lib/errors.ts'
import { itemTableShapes } from '../providers/index.ts'
import type { Engine, EngineOptions } from './engine.ts'

const DEFAULT_OPTIONS: EngineOptions = {
  autoMigrate: true,
  poolSize: 10,
  statementTimeoutMs: 10_000,
  lockTimeoutMs: 3_000,
  requireDurability: true,
  itemTables: itemTableShapes,
  onAvailabilityChange: () => {},
  onMigrated: () => {}
}

/** What an engine module exports. */
interface EngineModule {
  open: (url: string, options: EngineOptions) => Engine | Promise<Engine>
}

const ENGINES: Array<{ scheme: RegExp; load: () => Promise<EngineModule> }> = [
  { scheme: /^sqlite:/, load: () => import('./sqlite/engine.ts') },
  { scheme: /^postgres(ql)?(\+psycopg)?:/, load: () => import('./postgres/engine.ts') }
]

/**
 * Opens the database that `INTEGRATION_DB_URL` names and applies missing migrations.
 *
 * The engine is imported on demand, so a deployment loads only the driver it uses.
 *
 * @throws StartError with one sentence: unknown scheme, file not writable, no answer from the
 *   server, tables of a newer version
 */
export async function openEngine(
  url: string,
  options: Partial<EngineOptions> = {}
): Promise<Engine> {
  const engine = ENGINES.find(({ scheme }) => scheme.test(url))
  if (engine === undefined) {
    throw new StartError(
      ['INTEGRATION_DB_URL has an unknown scheme; use sqlite: or postgres:.'],
      78
    )
  }
  const { open } = await engine.load()
  return await open(url, { ...DEFAULT_OPTIONS, ...options })
}
