import type { Log } from '../lib/http-client.ts'
import type { Change } from '../store/repositories/connection-history.ts'

const FINE = new Set<string | null>(['active', null])

/** One log event for each change of a connection's state, as there is one row in its history. */
export function announce(changes: readonly Change[], log: Log): void {
  for (const { connectionId, userId, provider, from, to, code, detail } of changes) {
    const fields = {
      event: 'connection_state_changed',
      connection_id: connectionId,
      user_id: userId,
      product: provider,
      from,
      to,
      reason: code
    }
    const sentence = detail ?? (from === null ? 'Connected.' : 'Works again.')
    if (FINE.has(to)) log.info(fields, sentence)
    else log.warn(fields, sentence)
  }
}
