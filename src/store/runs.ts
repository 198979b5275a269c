import { and, eq, isNotNull, lt, sql } from 'drizzle-orm'
import type { ErrorCode } from '../errors.ts'
import type { Changes } from './collection.ts'
import type { Engine, WithStatement } from './engine.ts'

export interface Run {
  id: number
  ownerId: number
  provider: string
  state: string
  seen: number
  added: number
  changed: number
  /** Requests sent to Atlassian. */
  calls: number
  errorCode: string | null
  errorDetail: string | null
  createdAt: Date
  startedAt: Date | null
  finishedAt: Date | null
}

export function runs ({ db, tables: { runs }, write, atomically }: Engine, now: () => number) {
  const activeKey = (ownerId: number, provider: string) => `${ownerId}/${provider}`

  /** A run that was ended, by a restart for one, stays as it ended. */
  const live = (id: number) => and(eq(runs.id, id), isNotNull(runs.activeKey))

  const ending = (ownerId: number, provider: string, error: { code: ErrorCode, detail: string }): WithStatement => (tx) =>
    tx.update(runs).set({ state: 'failed', activeKey: null, errorCode: error.code, errorDetail: error.detail, finishedAt: new Date(now()) })
      .where(eq(runs.activeKey, activeKey(ownerId, provider)))

  return {
    /** Queues a run, or finds the one that is already under way for this owner and product: there is one at a time. */
    async enqueue (ownerId: number, provider: string): Promise<{ run: Run, created: boolean }> {
      const key = activeKey(ownerId, provider)
      for (let attempt = 0; attempt < 3; attempt++) {
        const [active] = await db.select().from(runs).where(eq(runs.activeKey, key))
        if (active !== undefined) return { run: active, created: false }
        const [made] = await write(() => db.insert(runs)
          .values({ ownerId, provider, state: 'queued', activeKey: key, seen: 0, added: 0, changed: 0, calls: 0, createdAt: new Date(now()) })
          .onConflictDoNothing({ target: runs.activeKey }).returning())
        // Somebody else's insert came in between: look again.
        if (made !== undefined) return { run: made, created: true }
      }
      throw new Error('A run could neither be queued nor found')
    },

    async get (id: number, provider: string): Promise<Run | undefined> {
      return (await db.select().from(runs).where(and(eq(runs.id, id), eq(runs.provider, provider))))[0]
    },

    /** @returns false where the run was ended before it began */
    async begin (id: number): Promise<boolean> {
      const begun = await write(() => db.update(runs).set({ state: 'running', startedAt: new Date(now()) }).where(live(id)).returning({ id: runs.id }))
      return begun.length === 1
    },

    /** Holds a run in its state for the rest of a transaction; returns no row once somebody else has ended it. */
    stillLive: (id: number): WithStatement => (tx) => tx.update(runs).set({ state: 'running' }).where(live(id)).returning({ id: runs.id }),

    /** Adds one saved upstream page to the counts. */
    async progress (id: number, { added, changed, unchanged }: Changes, calls: number): Promise<void> {
      await write(() => db.update(runs).set({
        seen: sql`${runs.seen} + ${added + changed + unchanged}`,
        added: sql`${runs.added} + ${added}`,
        changed: sql`${runs.changed} + ${changed}`,
        calls
      }).where(live(id)))
    },

    async end (id: number, calls: number, error?: { code: ErrorCode, detail: string }): Promise<void> {
      await write(() => db.update(runs).set({
        state: error === undefined ? 'succeeded' : 'failed',
        activeKey: null,
        calls,
        errorCode: error?.code ?? null,
        errorDetail: error?.detail ?? null,
        finishedAt: new Date(now())
      }).where(live(id)))
    },

    /** Ends what is under way for an owner and product, whichever process is at it. */
    endingActive: ending,

    async endActive (...which: [ownerId: number, provider: string, error: { code: ErrorCode, detail: string }]): Promise<void> {
      await atomically((tx) => [ending(...which)(tx)])
    },

    /** Ends what a stopped process left behind: whatever is under way and older than this process. */
    async endAbandoned (detail: string, before: Date): Promise<void> {
      await write(() => db.update(runs)
        .set({ state: 'failed', activeKey: null, errorCode: 'interrupted', errorDetail: detail, finishedAt: new Date(now()) })
        .where(and(isNotNull(runs.activeKey), lt(runs.createdAt, before))))
    }
  }
}
