import type { Server } from 'node:net'

/** A shorter turn of the event loop leaves hardly a moment in which a connection can arrive. */
const QUIET_TURN_MS = 0.1
/** Under load there may be no such turn. */
const MAX_WAIT_MS = 500

/**
 * Closes the listening socket at the end of a turn of the event loop that found nothing to accept.
 * The kernel resets the connections that it has accepted and the process has not, and their clients
 * cannot know whether a request that they sent was executed. Open connections stay open, except
 * idle ones.
 */
export async function stopAccepting(server: Server): Promise<void> {
  let acceptedCount = 0
  const countAccepted = () => {
    acceptedCount++
  }
  server.on('connection', countAccepted)
  const deadline = performance.now() + MAX_WAIT_MS
  await new Promise<void>((resolve) => {
    let turnStartedAt = 0
    const startTurn = () => {
      acceptedCount = 0
      turnStartedAt = performance.now()
      setImmediate(closeIfQuiet)
    }
    // Runs right after the event loop has accepted what was waiting.
    const closeIfQuiet = () => {
      const at = performance.now()
      const isQuiet = acceptedCount === 0 && at - turnStartedAt < QUIET_TURN_MS
      if (isQuiet || at > deadline) {
        server.close()
        resolve()
      } else startTurn()
    }
    // The present turn may have accepted before this was called.
    setImmediate(startTurn)
  })
  server.off('connection', countAccepted)
}
