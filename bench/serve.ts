import type { FastifyInstance } from 'fastify'

/** A message from a subject to the process that started it. */
export type SubjectMessage = { port: number } | { cpuMicros: number; rssBytes: number }

/** What a subject is started with. */
export interface SubjectOptions {
  /** `sqlite:///<file>` or `postgres://…`. */
  databaseUrl: string
  /** The same for all processes that share a database. */
  vaultKeys: string
  userCount: number
  /** Settings of the service, in addition to those of every benchmark. */
  settings: Record<string, string>
}

/**
 * Runs a subject: listens on loopback, sends its port, answers each message with the processor time used
 * and the resident memory, and exits when the process that started it disconnects or ends.
 */
export async function runSubject(app: FastifyInstance): Promise<void> {
  const send = (message: SubjectMessage) => process.send?.(message)
  process.on('message', () => {
    const { user, system } = process.cpuUsage()
    send({ cpuMicros: user + system, rssBytes: process.memoryUsage.rss() })
  })
  process.once('disconnect', () => {
    app.close().then(
      () => process.exit(),
      () => process.exit(1)
    )
  })
  await app.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 })
  const address = app.server.address()
  if (address === null || typeof address === 'string') {
    throw new Error('The subject does not listen on a port')
  }
  send({ port: address.port })
}

/** The only argument: the options as JSON. */
export function getSubjectOptions(): SubjectOptions {
  const [, , text] = process.argv
  if (text === undefined) throw new Error('Subjects are started by the programs of bench/')
  return JSON.parse(text) as SubjectOptions
}
