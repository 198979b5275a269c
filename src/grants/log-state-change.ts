import type { Logger } from '../lib/http-client.ts'
import type { StateChange } from '../store/repositories/connection-history.ts'

const HEALTHY_STATES = new Set<string | null>(['active', null])

/** One log event for each change of a connection's state, as there is one row in its history. */
export function logStateChanges(changes: readonly StateChange[], log: Logger): void {
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
    const message = detail ?? (from === null ? 'Connected.' : 'Works again.')
    if (HEALTHY_STATES.has(to)) log.info(fields, message)
    else log.warn(fields, message)
  }
}
