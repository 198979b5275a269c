import { and, desc, eq, gt, inArray, isNotNull, isNull, lt, or, sql, type SQL } from 'drizzle-orm'
import { parseUserHint } from '../../oauth/state.ts'
import type { Engine, StatementBuilder } from '../engine.ts'
import { normalizeEmail } from './users.ts'

/** Ended flows are kept this long, so that an expired login can be told from a forged one. */
const RETENTION_MS = 60 * 60 * 1000
const SWEEP_INTERVAL_MS = 60 * 1000
/** Logins of one caller that are forgotten at once, where there are too many. */
const EVICTION_BATCH_SIZE = 1_000

/**
 * One started login (docs/reference/contract.md#4-login-and-callback). Hashes only: neither state
 * nor code nor cookie can be read back.
 */
export interface LoginFlowRow {
  stateHash: string
  provider: string
  clientId: string
  redirectUri: string
  callerState: string | null
  returnUrl: string | null
  /** What the login asked for. */
  scopes: string
  /** 1: another account may take the place of the connected one. */
  changeAccount: number
  browserHash: string | null
  /** Whose it is, as a hash; empty: nobody is counted. */
  quotaKey: string
  /** Who started it, as src/lib/actor.ts writes it. */
  initiator: string
  /** Whose login it is, where that was known when it began. */
  userId: number | null
  expiresAt: Date
  codeHash: string | null
  claimedAt: Date | null
  /** JSON, once the flow has ended. */
  outcome: string | null
}

/** Words without which a caller's state names nobody (src/oauth/state.ts). */
const USER_HINT_KEYS = ['user_id', 'uid', 'email']

interface UserRef {
  id: number
  email: string
}

export function createLoginFlowRepository(
  { db, tables: { flows }, write }: Engine,
  now: () => number
) {
  const p = sql.placeholder
  const insert = db
    .insert(flows)
    .values({
      stateHash: p('stateHash'),
      provider: p('provider'),
      clientId: p('clientId'),
      redirectUri: p('redirectUri'),
      callerState: p('callerState'),
      returnUrl: p('returnUrl'),
      scopes: p('scopes'),
      changeAccount: p('changeAccount'),
      browserHash: p('browserHash'),
      userId: p('userId'),
      quotaKey: p('quotaKey'),
      initiator: p('initiator'),
      expiresAt: p('expiresAt')
    })
    .onConflictDoNothing({ target: flows.stateHash })
    .prepare()
  // Whoever is in the middle of an exchange ends it first.
  const idle = and(
    eq(flows.quotaKey, p('quotaKey')),
    or(isNull(flows.claimedAt), isNotNull(flows.outcome))
  )
  const excess = db
    .select({ stateHash: flows.stateHash })
    .from(flows)
    .where(idle)
    .orderBy(desc(flows.expiresAt), desc(flows.stateHash))
    .limit(EVICTION_BATCH_SIZE)
    .offset(p('most'))
  const evict = db.delete(flows).where(inArray(flows.stateHash, excess)).prepare()
  let sweptAt = 0
  /** Whose logins they are, as far as that can be told: by whom they were for, by whom the caller's state names or mentions, and by their outcome. */
  const belongsTo = ({ id, email }: UserRef, stateHashes: string[]) =>
    or(
      eq(flows.userId, id),
      inArray(flows.stateHash, stateHashes),
      containsText(flows.callerState, email),
      containsText(flows.callerState, encodeURIComponent(email)),
      eq(flows.outcome, JSON.stringify({ userId: id }))
    )
  const deleteExpired = async (): Promise<void> => {
    await write(() => db.delete(flows).where(lt(flows.expiresAt, new Date(now() - RETENTION_MS))))
  }

  /** Logins whose caller's state names somebody, in whichever of its forms; an engine could not read them all. */
  async function findFlowsNamingUser({ id, email }: UserRef): Promise<string[]> {
    const rows = await db
      .select({ stateHash: flows.stateHash, callerState: flows.callerState })
      .from(flows)
      .where(
        and(
          isNull(flows.userId),
          or(...USER_HINT_KEYS.map((name) => containsText(flows.callerState, name)))
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
     * Stores a new flow, unless it is there already. So that abandoned logins do not pile up, it forgets the oldest of the same
     * caller beyond `most`, and sweeps out the ones that ended long ago.
     */
    async start(
      flow: Omit<LoginFlowRow, 'codeHash' | 'claimedAt' | 'outcome'>,
      maxFlows: number
    ): Promise<void> {
      await write(() => insert.execute(flow))
      if (flow.quotaKey !== '') {
        await write(() => evict.execute({ quotaKey: flow.quotaKey, most: maxFlows }))
      }
      if (now() - sweptAt < SWEEP_INTERVAL_MS) return
      sweptAt = now()
      await deleteExpired()
    },

    /** Forgets logins that ended long ago, whether anybody starts new ones or not. */
    purge: deleteExpired,

    async get(stateHash: string): Promise<LoginFlowRow | undefined> {
      return (await db.select().from(flows).where(eq(flows.stateHash, stateHash)))[0]
    },

    /** Takes the flow for one code. True for exactly one caller, whatever number of processes try. */
    async claim(stateHash: string, codeHash: string): Promise<boolean> {
      const claimed = await write(() =>
        db
          .update(flows)
          .set({ codeHash, claimedAt: new Date(now()) })
          .where(
            and(
              eq(flows.stateHash, stateHash),
              isNull(flows.codeHash),
              gt(flows.expiresAt, new Date(now()))
            )
          )
          .returning({ stateHash: flows.stateHash })
      )
      return claimed.length === 1
    },

    /** Records how the claimed flow ended, for whoever hits the same callback again; to be run with what it brought. */
    finishStatement:
      (stateHash: string, outcome: string): StatementBuilder =>
      (tx) =>
        tx.update(flows).set({ outcome }).where(eq(flows.stateHash, stateHash)),

    /** The logins of somebody that are kept, oldest first. */
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

    /** Erases the logins of somebody who leaves; those that are begun after this was asked for name nobody any more. */
    async deleteForUserStatement(user: UserRef): Promise<StatementBuilder> {
      const ownedByUser = belongsTo(user, await findFlowsNamingUser(user))
      return (tx) => tx.delete(flows).where(ownedByUser)
    },

    /** The same, where it brought nothing. */
    async finish(stateHash: string, outcome: string): Promise<void> {
      await write(() => db.update(flows).set({ outcome }).where(eq(flows.stateHash, stateHash)))
    }
  }
}

function containsText(column: object, text: string): SQL {
  return sql`lower(${column}) like ${`%${text.toLowerCase().replace(/[\\%_]/g, '\\$&')}%`} escape '\\'`
}
