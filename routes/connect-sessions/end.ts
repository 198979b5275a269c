import { serializeInitiator } from '../../src/access/principal-actor.ts'
import type { Store } from '../../src/store/index.ts'
import type { ConnectSession } from '../../src/store/repositories/connect-sessions.ts'

/** Ends a connect session, together with the logins that it has started and nobody has finished. */
export async function endSession(
  { connectSessions, loginFlows }: Store,
  session: ConnectSession
): Promise<void> {
  await connectSessions.end(
    session,
    loginFlows.deleteOpenStatement(serializeInitiator({ kind: 'session', ...session }))
  )
}
