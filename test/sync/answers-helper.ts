import { createSyncFixture, type SyncFixture, type SyncFixtureOptions } from './time-helper.ts'
import type { TestContext } from '../types.ts'

export interface AnswersFixture extends SyncFixture {
  /** Replaces the answer rules of the site (docs/sandbox.md). */
  setAnswers: (rules: object) => Promise<void>
  /** The id of an item in the sandbox, by position. */
  getId: (collection: 'projects' | 'issues' | 'spaces' | 'pages', position: number) => string
  countCalls: (act: () => Promise<unknown>) => Promise<number>
}

/** A copied site whose answers can be changed. */
export async function createAnswersFixture(
  t: TestContext,
  sizes: { projects: number; issues: number; spaces: number; pages: number },
  options: SyncFixtureOptions = {}
): Promise<AnswersFixture> {
  const fixture = await createSyncFixture(t, {
    ...options,
    sandbox: { ...options.sandbox, sizes },
    env: options.env ?? {}
  })
  const { sandbox } = fixture
  return {
    ...fixture,
    setAnswers: async (rules) => {
      await sandbox.admin('sites/acme/answers', rules, 'PUT')
    },
    getId: (collection, position) => sandbox.state.sites[0]?.[collection].at(position)?.id ?? '',
    countCalls: async (act) =>
      (await fixture.recordCalls(act)).filter(({ path }) => path.startsWith('/ex/')).length
  }
}
