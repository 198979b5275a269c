import { eq, getTableColumns, sql } from 'drizzle-orm'
import type { Signer } from '../../model/signer.ts'
import type { Engine } from '../engine.ts'
import { createRowMapper } from '../row-mapper.ts'
import type { AuditLog } from './audit-log.ts'
import type { ConnectionHistory } from './connection-history.ts'
import { createGrantConsentMethods } from './grant-consent.ts'
import { createGrantMaintenanceMethods } from './grant-maintenance.ts'
import { createGrantRefreshMethods } from './grant-refresh.ts'
import { createGrantStateMethods, createGrantStateWriter } from './grant-state.ts'
import type { Grant } from './grant-types.ts'
import type { LeaseRepository } from './leases.ts'

export type * from './grant-types.ts'

export function createGrantRepository(
  engine: Engine,
  now: () => number,
  {
    leases,
    history,
    audit,
    signer
  }: { leases: LeaseRepository; history: ConnectionHistory; audit: AuditLog; signer: Signer }
) {
  const { grants } = engine.tables
  const toGrant = createRowMapper(getTableColumns(grants))
  const selectById = engine.prepare(
    engine.db
      .select()
      .from(grants)
      .where(eq(grants.id, sql.placeholder('id')))
  )
  const stateWriter = createGrantStateWriter(engine, { history, audit })

  return {
    async get(id: string): Promise<Grant | undefined> {
      const [row] = await selectById({ id })
      return row === undefined ? undefined : (toGrant(row) as Grant)
    },

    ...createGrantRefreshMethods(engine, now, stateWriter, { leases, audit }),
    ...createGrantStateMethods(engine, now, stateWriter),
    ...createGrantConsentMethods(engine, now, { leases, history, audit, signer }),
    ...createGrantMaintenanceMethods(engine)
  }
}

export type GrantRepository = ReturnType<typeof createGrantRepository>
