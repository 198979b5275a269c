import type { FastifyInstance } from 'fastify'

/** A message from a subject to the process that started it. */
export type SubjectMessage = { port: number } | { cpuMicros: number }

/**
 * Runs a subject: listens on loopback, sends its port, answers each message with the processor time used,
 * and exits when the process that started it disconnects or ends.
 */
export async function runSubject(app: FastifyInstance): Promise<void> {
  const send = (message: SubjectMessage) => process.send?.(message)
  process.on('message', () => {
    const { user, system } = process.cpuUsage()
    send({ cpuMicros: user + system })
  })
  process.once('disconnect', () => {
    app.close().then(
      () => process.exit(),
      () => process.exit(1)
    )
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const address = app.server.address()
  if (address === null || typeof address === 'string') {
    throw new Error('The subject does not listen on a port')
  }
  send({ port: address.port })
}

/** The only argument: the folder of the subject's database, or the address of its database. */
export function getFolderArgument(): string {
  const [, , path] = process.argv
  if (path === undefined) {
    throw new Error('Subjects are started by bench/index.ts and bench/engines.ts')
  }
  return path
}
