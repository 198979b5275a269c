import type { FastifyInstance } from 'fastify'

/** What a contender tells the process that started it. */
export type SubjectMessage = { port: number } | { cpuMicros: number }

/**
 * A contender's life: listens on loopback, tells its port, answers how much processor time it has used, and ends when
 * the process that started it lets go or is gone.
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
    throw new Error('The contender listens on no port')
  }
  send({ port: address.port })
}

/** The folder that the contender keeps its database in: its only argument. */
export function getFolderArgument(): string {
  const [, , path] = process.argv
  if (path === undefined) throw new Error('A contender is started by bench/index.ts')
  return path
}
