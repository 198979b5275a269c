/** The part of tap's test object that helpers use. */
export interface TestContext {
  teardown: (fn: () => unknown) => void
}

export type JsonObject = Record<string, any>
