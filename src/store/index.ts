import { SERVICE_ACTOR, type Actor } from '../lib/actor.ts'
import type { Signer } from '../model/signer.ts'
import { createApiKeyRepository } from './repositories/api-keys.ts'
import { createAuditLog } from './repositories/audit-log.ts'
import { createRateBudgetRepository } from './repositories/rate-budgets.ts'
import { createCheckpointRepository } from './repositories/checkpoints.ts'
import { createItemRepository, type ItemRepository } from './repositories/items.ts'
import { createConnectionPlanRepository } from './repositories/connection-plans.ts'
import { createConnectionSignatureRepository } from './repositories/connection-signatures.ts'
import { createConnectionRepository } from './repositories/connections.ts'
import type { Engine } from './engine.ts'
import { createChangeFeed } from './repositories/change-feed.ts'
import { createFleetRepository } from './repositories/fleet.ts'
import { createLoginFlowRepository } from './repositories/login-flows.ts'
import { createGrantRepository } from './repositories/grants.ts'
import { createConnectionHistory } from './repositories/connection-history.ts'
import { createIdentityRepository } from './repositories/identities.ts'
import { createVaultKeyRepository } from './repositories/vault-keys.ts'
import { createInstanceRepository } from './repositories/instances.ts'
import { createLeaseRepository } from './repositories/leases.ts'
import { createRateLimitRepository } from './repositories/rate-limits.ts'
import { createPrivacyReportRepository } from './repositories/privacy-reports.ts'
import { createClockRepair } from './repositories/clock-repair.ts'
import { createServiceStateRepository } from './repositories/service-state.ts'
import { createSyncStateRepository } from './repositories/sync-states.ts'
import { createSyncRunRepository } from './repositories/sync-runs.ts'
import { createEncryptedTokenRepository } from './repositories/encrypted-tokens.ts'
import { createConnectSessionRepository } from './repositories/connect-sessions.ts'
import { createUserRepository } from './repositories/users.ts'

/**
 * Creates every repository over one engine.
 *
 * @param signer signs audit rows and connections with the vault's key
 * @param getActor returns the actor to whom the audit trail attributes a write
 */
export function createStore(
  engine: Engine,
  now: () => number,
  signer: Signer,
  getActor: () => Actor = () => SERVICE_ACTOR
) {
  const auditLog = createAuditLog(engine, now, getActor, signer)
  const instanceRepository = createInstanceRepository(engine)
  const leaseRepository = createLeaseRepository(engine)
  const connectionHistory = createConnectionHistory(engine, now)
  const changeFeed = createChangeFeed(engine)
  const userRepository = createUserRepository(engine, now, auditLog)
  const itemRepositories = new Map(
    [...engine.tables.items].map(([name, definition]) => [
      name,
      createItemRepository(engine, definition, changeFeed, now)
    ])
  )
  const grantRepository = createGrantRepository(engine, now, {
    leases: leaseRepository,
    history: connectionHistory,
    audit: auditLog,
    signer
  })
  return {
    isMigrated: engine.isMigrated,
    readTables: engine.readTables,
    estimatePoolWait: engine.estimatePoolWait,
    truncateWal: engine.truncateWal,
    users: userRepository,
    audit: auditLog,
    apiKeys: createApiKeyRepository(engine, now, auditLog),
    identities: createIdentityRepository(engine, userRepository, now, auditLog),
    connectSessions: createConnectSessionRepository(engine, now, auditLog),
    loginFlows: createLoginFlowRepository(engine, now),
    vaultKeys: createVaultKeyRepository(engine, now, instanceRepository),
    instances: instanceRepository,
    leases: leaseRepository,
    connectionHistory,
    grants: grantRepository,
    privacyReports: createPrivacyReportRepository(engine, { leases: leaseRepository }),
    encryptedTokens: createEncryptedTokenRepository(engine, auditLog),
    connections: createConnectionRepository(engine, {
      grantRepository,
      history: connectionHistory,
      audit: auditLog,
      signer
    }),
    connectionSignatures: createConnectionSignatureRepository(engine, signer),
    connectionPlans: createConnectionPlanRepository(engine),
    fleet: createFleetRepository(engine, signer),
    runs: createSyncRunRepository(engine, now, auditLog),
    rateLimits: createRateLimitRepository(engine, now),
    checkpoints: createCheckpointRepository(engine),
    syncStates: createSyncStateRepository(engine),
    rateBudgets: createRateBudgetRepository(engine),
    changeFeed,
    serviceState: createServiceStateRepository(engine),
    clockRepair: createClockRepair(engine),
    isShared: engine.isShared,
    transaction: engine.transaction,
    batch: engine.batch,
    /** The items of a collection. @throws Error where no product has it */
    items(collection: string): ItemRepository {
      const repository = itemRepositories.get(collection)
      if (repository === undefined) throw new Error(`No product has a collection ${collection}.`)
      return repository
    }
  }
}

export type Store = ReturnType<typeof createStore>
