import { and, asc, eq, gt, inArray, ne, or, sql, type SQL, type SQLWrapper } from 'drizzle-orm'
import { createMissingKeyError } from '../../lib/missing-key.ts'
import { parseSigningKeyId, type Signer } from '../../model/signer.ts'
import type { Engine } from '../engine.ts'

/** The columns of a connection that are signed, as they are stored. */
export interface SignedColumns {
  userId: number
  provider: string
  grantId: string
  sites: string
  selectedSites: string
  refusedFeatures: string
  state: string
}

/** A connection, as stored, and its grant's encrypted access token. */
export interface UnsignedConnection extends SignedColumns {
  id: number
  accessToken: string
}

/** The state of a connection whose row somebody else has changed. */
export const ALTERED_STATE = {
  state: 'needs_reconnect',
  errorCode: 'connection_altered',
  errorDetail:
    'The stored connection is not as the service wrote it, so it is not used. Connect again.'
} as const

/** Stored instead of a signature: the row was not as the service wrote it. */
const NO_SIGNATURE = ''

/** A condition: nothing can verify the connection, so it is used as `ALTERED_STATE` says. */
export function isUnsigned(signature: SQLWrapper): SQL {
  return sql`${signature} = ''`
}

const serializeColumns = ({
  userId,
  provider,
  grantId,
  sites,
  selectedSites,
  refusedFeatures,
  state
}: SignedColumns) =>
  JSON.stringify([userId, provider, grantId, sites, selectedSites, refusedFeatures, state])

/** Signs what a connection points to, so that nobody without a vault key can point it elsewhere. */
export function signConnection(signer: Signer, columns: SignedColumns): string {
  return signer.sign('connection', serializeColumns(columns))
}

export function isConnectionAuthentic(
  signer: Signer,
  { signature, ...columns }: SignedColumns & { signature: string }
): boolean {
  return signer.isValid('connection', serializeColumns(columns), signature)
}

/**
 * Tells a key that this instance lacks from a forged signature: a key is registered before it signs.
 *
 * @returns a function that throws AppError `vault_key_missing`
 */
export function createSigningKeyCheck(
  { db, tables: { vaultKeys } }: Pick<Engine, 'db' | 'tables'>,
  signer: Signer
) {
  return async (rows: ReadonlyArray<{ connection: { signature: string } }>): Promise<void> => {
    const unknownIds = rows
      .map(({ connection: { signature } }) => parseSigningKeyId(signature))
      .filter((id) => id !== undefined && !signer.hasKey(id)) as string[]
    if (unknownIds.length === 0) return
    const [registered] = await db
      .select({ id: vaultKeys.id })
      .from(vaultKeys)
      .where(inArray(vaultKeys.id, unknownIds))
      .limit(1)
    if (registered !== undefined) throw createMissingKeyError(registered.id)
  }
}

/** Whether a connection is signed with one of these keys, or its grant encrypted with one. */
export function needsOneOf(
  { connections, grants }: Pick<Engine['tables'], 'connections' | 'grants'>,
  keyIds: readonly string[]
): SQL {
  const conditions = keyIds.map((id) => isSignedWith(connections.signature, id))
  return or(inArray(grants.keyId, [...keyIds]), ...conditions) as SQL
}

function isSignedWith(signature: SQLWrapper, keyId: string): SQL {
  const prefix = `${keyId}.`
  return sql`substr(${signature}, 1, ${sql.raw(String(prefix.length))}) = ${prefix}`
}

/** Signatures of connections: those that earlier versions lack, and the rotation of their key. */
export function createConnectionSignatureRepository(
  { db, tables: { connections, grants }, write }: Engine,
  signer: Signer
) {
  const columns = {
    id: connections.id,
    userId: connections.userId,
    provider: connections.provider,
    grantId: connections.grantId,
    sites: connections.sites,
    selectedSites: connections.selectedSites,
    refusedFeatures: connections.refusedFeatures,
    state: connections.state
  }

  return {
    /** The number of connections signed with each key. */
    async countByKey(): Promise<Map<string, number>> {
      // A signature ends with a dot and 43 characters.
      const keyId = sql<string>`substr(${connections.signature}, 1, length(${connections.signature}) - 44)`
      const rows = await db
        .select({ keyId: keyId.as('key_id'), count: sql<number>`count(*)` })
        .from(connections)
        .where(sql`length(${connections.signature}) > 44`)
        .groupBy(keyId)
      return new Map(rows.map(({ keyId: id, count }) => [id, Number(count)]))
    },

    /** The number of connections signed with one key. Reads every connection. */
    async countSignedWith(keyId: string): Promise<number> {
      const [row] = await db
        .select({ count: sql<number>`count(*)` })
        .from(connections)
        .where(isSignedWith(connections.signature, keyId))
      return Number(row?.count ?? 0)
    },

    /**
     * Removes the signatures of a lost key, which nothing can verify. Their people have to connect
     * again.
     *
     * @returns the number of connections
     */
    async giveUpKey(keyId: string): Promise<number> {
      const rows = await write(() =>
        db
          .update(connections)
          .set({ signature: NO_SIGNATURE })
          .where(isSignedWith(connections.signature, keyId))
          .returning({ id: connections.id })
      )
      return rows.length
    },

    /** Connections without a signature, behind the id `after`. */
    async listUnsigned(after: number, limit: number): Promise<UnsignedConnection[]> {
      return await db
        .select({ ...columns, accessToken: grants.accessToken })
        .from(connections)
        .innerJoin(grants, eq(connections.grantId, grants.id))
        .where(and(eq(connections.signature, NO_SIGNATURE), gt(connections.id, after)))
        .orderBy(asc(connections.id))
        .limit(limit)
    },

    /** Signs a connection that has no signature. What changed meanwhile makes it invalid. */
    async sign(id: number, signed: SignedColumns): Promise<void> {
      await replaceSignature(id, NO_SIGNATURE, signConnection(signer, signed))
    },

    /**
     * Signs a batch of connections again that were signed with other keys than the current one.
     * A row that its signature does not fit loses the signature, so that it keeps no key in use.
     *
     * @param verifier verifies the old signatures, with more keys than the signer of new ones
     * @returns the id to continue behind, and the number of rows signed; undefined at the end
     */
    async renewBatch(
      after: number,
      limit: number,
      verifier = signer
    ): Promise<{ last: number; signed: number } | undefined> {
      const prefix = `${signer.keyId}.`
      const rows = await db
        .select({ ...columns, signature: connections.signature })
        .from(connections)
        .where(
          and(
            gt(connections.id, after),
            ne(connections.signature, NO_SIGNATURE),
            sql`substr(${connections.signature}, 1, ${prefix.length}) <> ${prefix}`
          )
        )
        .orderBy(asc(connections.id))
        .limit(limit)
      let signed = 0
      for (const row of rows) {
        const keyId = parseSigningKeyId(row.signature)
        if (keyId !== undefined && !verifier.hasKey(keyId)) continue
        const isAuthentic = isConnectionAuthentic(verifier, row)
        const signature = isAuthentic ? signConnection(signer, row) : NO_SIGNATURE
        await replaceSignature(row.id, row.signature, signature)
        if (isAuthentic) signed++
      }
      const last = rows.at(-1)?.id
      return last === undefined ? undefined : { last, signed }
    }
  }

  async function replaceSignature(id: number, before: string, signature: string): Promise<void> {
    await write(() =>
      db
        .update(connections)
        .set({ signature })
        .where(and(eq(connections.id, id), eq(connections.signature, before)))
    )
  }
}
