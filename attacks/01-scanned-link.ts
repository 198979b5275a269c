import type { Attack } from './attack.ts'
import { createSession, createUser, Visitor } from './person.ts'

/** Mail scanners and link previews fetch every link before its reader does. */
export const attack: Attack = {
  name: 'use up a connect link by fetching it',
  item: 1,
  run: async (target) => {
    const { url } = await createSession(
      target,
      await createUser(target, `reader-${Date.now()}@example.com`)
    )
    const scanner = await new Visitor(target).open(url)
    const reader = await new Visitor(target).open(url)
    return {
      reached: reader.status === 401,
      evidence: `the scanner gets ${scanner.status}, the reader ${reader.status}`
    }
  }
}
