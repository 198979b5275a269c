import {
  and,
  desc,
  eq,
  getTableColumns,
  gt,
  inArray,
  isNotNull,
  isNull,
  like,
  lt,
  or,
  sql
} from 'drizzle-orm'
import { parseUserHint } from '../../lib/user-hint.ts'
import { containsText } from '../text-match.ts'
import type { Engine, Statement, StatementBuilder } from '../engine.ts'
import { createRowMapper, toPlaceholders } from '../row-mapper.ts'
import { createEvictionSchedule, EVICTION_BATCH_SIZE } from './login-evictions.ts'
import { normalizeEmail } from './users.ts'

/** Expired flows are kept this long, so that an expired login can be told from a forged one. */
const RETENTION_MS = 60 * 60 * 1000
const SWEEP_INTERVAL_MS = 60 * 1000

/**
 * One started login (docs/reference/contract.md#4-login-and-callback). State, code and cookie
 * are stored as hashes only.
 */
export interface LoginFlowRow {
  stateHash: string
  provider: string
  clientId: string
  redirectUri: string
  callerState: string | null
  returnUrl: string | null
  /** The scopes the login requested. */
  scopes: string
  /** 1: another account may replace the connected one. */
  changeAccount: number
  browserHash: string | null
  /** Hash of the caller for the quota of open logins; empty: not counted. */
  quotaKey: string
  /** Who started it, serialised by src/lib/actor.ts. */
  initiator: string
  /** The user it is for, if known at the start. */
  userId: number | null
  expiresAt: Date
  codeHash: string | null
  claimedAt: Date | null
  /** JSON, once the flow has finished. */
  outcome: string | null
}

/**
 * Every caller's state that names a user contains one of these keys (src/lib/user-hint.ts), or a
 * character that encodes others.
 */
const USER_HINT_MARKS = ['user_id', 'uid', 'email', '%', '\\']

interface UserRef {
  id: number
  email: string
}

export function createLoginFlowRepository(
  { db, tables: { flows }, prepare, writePrepared, transaction, skipLocked }: Engine,
  now: () => number
) {
  const p = sql.placeholder
  const { codeHash, claimedAt, outcome, ...startColumns } = getTableColumns(flows)
  const { stateHash, expiresAt, browserHash } = startColumns
  const toFlow = createRowMapper({ ...startColumns, codeHash, claimedAt, outcome })
  const insert = prepare(
    db
      .insert(flows)
      .values(toPlaceholders(startColumns))
      .onConflictDoNothing({ target: flows.stateHash })
  )
  const selectFlow = prepare(
    db
      .select()
      .from(flows)
      .where(eq(flows.stateHash, p('stateHash')))
  )
  const claimFlow = prepare(
    db
      .update(flows)
      .set({ codeHash: sql`${p('codeHash')}`, claimedAt: sql`${p('now')}` })
      .where(
        and(
          eq(flows.stateHash, p('stateHash')),
          isNull(flows.codeHash),
          gt(flows.expiresAt, p('now'))
        )
      )
      .returning({ stateHash: flows.stateHash })
  )
  const finishFlow = prepare(
    db
      .update(flows)
      .set({ outcome: sql`${p('outcome')}` })
      .where(eq(flows.stateHash, p('stateHash')))
  )
  const redeemFlow = prepare(
    db
      .update(flows)
      .set(toPlaceholders({ stateHash, expiresAt, browserHash }))
      .where(and(eq(flows.stateHash, p('ticketHash')), gt(flows.expiresAt, p('now'))))
      .returning()
  )
  // A flow whose code is being exchanged is kept.
  const isDeletable = and(
    eq(flows.quotaKey, p('quotaKey')),
    or(isNull(flows.claimedAt), isNotNull(flows.outcome))
  )
  const excess = db
    .select({ stateHash: flows.stateHash })
    .from(flows)
    .where(isDeletable)
    .orderBy(desc(flows.expiresAt), desc(flows.stateHash))
    .limit(EVICTION_BATCH_SIZE)
    .offset(p('keptFlows'))
  // Leaves rows to the transaction that is deleting them already: two that delete the same rows in
  // another order would block each other.
  const evictable = sql`(select ${flows.stateHash} from ${flows}
    where ${flows.stateHash} in ${excess} ${skipLocked})`
  const evict = prepare(db.delete(flows).where(inArray(flows.stateHash, evictable)))
  const sweep = prepare(db.delete(flows).where(lt(flows.expiresAt, p('before'))))
  const bindSweep = () => sweep.bind({ before: new Date(now() - RETENTION_MS) })
  let sweptAt = 0
  const evictions = createEvictionSchedule()
  /**
   * Selects a user's flows: those started for the user, those in `stateHashes`, and those whose
   * outcome names the user.
   */
  const belongsTo = ({ id }: UserRef, stateHashes: string[]) =>
    or(
      eq(flows.userId, id),
      inArray(flows.stateHash, stateHashes),
      eq(flows.outcome, JSON.stringify({ userId: id })),
      like(flows.outcome, `{"userId":${id},%`)
    )

  /**
   * Finds flows whose caller state names this user, and not one whose address contains the same
   * text. SQL cannot parse all accepted forms.
   */
  async function findFlowsNamingUser({ id, email }: UserRef): Promise<string[]> {
    const rows = await db
      .select({ stateHash: flows.stateHash, callerState: flows.callerState })
      .from(flows)
      .where(
        and(
          isNull(flows.userId),
          or(...USER_HINT_MARKS.map((mark) => containsText(flows.callerState, mark)))
        )
      )
    return rows
      .filter(({ callerState }) => {
        const hint = parseUserHint(callerState)
        return (
          typeof hint === 'object' &&
          ('email' in hint
            ? normalizeEmail(hint.email) === normalizeEmail(email)
            : hint.userId === id)
        )
      })
      .map(({ stateHash }) => stateHash)
  }

  return {
    /**
     * Stores a new flow unless it exists. Deletes the caller's oldest flows beyond `maxFlows`
     * and all that expired long ago, so that abandoned logins do not accumulate. One write: a flow
     * costs one commit.
     */
    async start(
      flow: Omit<LoginFlowRow, 'codeHash' | 'claimedAt' | 'outcome'>,
      maxFlows: number
    ): Promise<void> {
      const deletions: Statement[] = []
      if (flow.quotaKey !== '') {
        const keptFlows = evictions.countStart(flow.quotaKey, maxFlows)
        if (keptFlows !== undefined) {
          deletions.push(evict.bind({ quotaKey: flow.quotaKey, keptFlows }))
        }
      }
      if (Math.abs(now() - sweptAt) >= SWEEP_INTERVAL_MS) {
        sweptAt = now()
        deletions.push(bindSweep())
      }
      try {
        await (deletions.length === 0
          ? writePrepared(insert.bind({ ...flow }))
          : transaction(function* () {
              yield insert.bind({ ...flow })
              for (const statement of deletions) yield statement
            }, true))
      } catch (error) {
        if (flow.quotaKey !== '') evictions.repeat(flow.quotaKey)
        throw error
      }
    },

    /** Deletes flows that expired long ago, even if no new login starts. */
    async purge(): Promise<void> {
      await writePrepared(bindSweep())
    },

    async get(stateHash: string): Promise<LoginFlowRow | undefined> {
      const [row] = await selectFlow({ stateHash })
      return row === undefined ? undefined : toFlow(row)
    },

    /**
     * Replaces the key of a flow that has not expired, and binds it to a browser. Returns the flow
     * to exactly one caller.
     */
    async redeem(
      ticketHash: string,
      values: Pick<LoginFlowRow, 'stateHash' | 'expiresAt'> & { browserHash: string }
    ): Promise<LoginFlowRow | undefined> {
      const [row] = await writePrepared(
        redeemFlow.bind({ ...values, ticketHash, now: new Date(now()) })
      )
      return row === undefined ? undefined : toFlow(row)
    },

    /**
     * Claims the flow for one code. Returns true for exactly one caller, whatever the number of
     * processes.
     */
    async claim(stateHash: string, codeHash: string): Promise<boolean> {
      const claim = claimFlow.bind({ stateHash, codeHash, now: new Date(now()) })
      return (await writePrepared(claim)).length === 1
    },

    /**
     * Records the outcome for repeated hits of the same callback. Run it in the transaction that
     * stores the result.
     */
    finishStatement:
      (stateHash: string, outcome: string): StatementBuilder =>
      () =>
        finishFlow.bind({ stateHash, outcome }),

    /** Lists the flows of these browsers that have ended, newest first. */
    async listFinished(browserHashes: string[], maxAgeMs: number): Promise<LoginFlowRow[]> {
      return await db
        .select()
        .from(flows)
        .where(
          and(
            inArray(flows.browserHash, browserHashes),
            isNotNull(flows.outcome),
            gt(flows.claimedAt, new Date(now() - maxAgeMs))
          )
        )
        .orderBy(desc(flows.claimedAt))
    },

    /** Lists a user's stored flows, oldest first. */
    async list(user: UserRef) {
      return await db
        .select({
          provider: flows.provider,
          callerState: flows.callerState,
          returnUrl: flows.returnUrl,
          scopes: flows.scopes,
          expiresAt: flows.expiresAt,
          outcome: flows.outcome
        })
        .from(flows)
        .where(belongsTo(user, await findFlowsNamingUser(user)))
        .orderBy(flows.expiresAt, flows.stateHash)
    },

    /**
     * Deletes the flows of a user who is removed. A flow that starts afterwards can no longer
     * name that user.
     */
    async deleteForUserStatement(user: UserRef): Promise<StatementBuilder> {
      const ownedByUser = belongsTo(user, await findFlowsNamingUser(user))
      return (tx) => tx.delete(flows).where(ownedByUser)
    },

    /** Deletes the flows that this initiator has started and nobody has finished. */
    deleteOpenStatement:
      (initiator: string): StatementBuilder =>
      (tx) =>
        tx.delete(flows).where(and(eq(flows.initiator, initiator), isNull(flows.codeHash))),

    /** Records an outcome that stores nothing else. */
    async finish(stateHash: string, outcome: string): Promise<void> {
      await writePrepared(finishFlow.bind({ stateHash, outcome }))
    }
  }
}
