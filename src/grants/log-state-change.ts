import type { Logger } from '../lib/http-client.ts'
import type { StateChange } from '../store/repositories/connection-history.ts'

const HEALTHY_STATES = new Set<string | null>(['active', null])

/** Logs one event per state change of a connection, matching the rows of its history. */
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
