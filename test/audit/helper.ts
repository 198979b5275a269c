import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { rowsOf } from '../database.ts'

const MAIN = fileURLToPath(new URL('../../src/main.js', import.meta.url))

export interface Row {
  id: number
  at: string
  actor: { kind: string; id: number | null; name: string | null }
  action: string
  user_id: number | null
  connection_id: number | null
  product: string | null
  ip: string | null
  request_id: string | null
  detail: Record<string, any> | null
}
export interface Output {
  code: number
  stdout: string
  stderr: string
}

/** `npm run NAME -- …` with these settings and no others, until it ends. */
export async function command(
  name: string,
  args: string[],
  env: NodeJS.ProcessEnv
): Promise<Output> {
  return await promisify(execFile)(process.execPath, [MAIN, name, ...args], {
    cwd: '/',
    timeout: 30_000,
    env: { PATH: process.env.PATH, ...env }
  }).then(
    (output) => ({ code: 0, ...output }),
    ({ code, stdout, stderr }) => ({ code, stdout, stderr })
  )
}

export const verified = async (url: string): Promise<Output> =>
  await command('audit', ['verify'], { INTEGRATION_DB_URL: url })

/** The whole trail as `GET /audit` tells it, in the order in which things were done. */
export async function trail(
  app: FastifyInstance,
  { headers = {}, query = '' }: { headers?: Record<string, string>; query?: string } = {}
): Promise<Row[]> {
  const rows: Row[] = []
  for (let url: string | undefined = `/audit?limit=100${query}`; url !== undefined;) {
    const answer: LightMyRequestResponse = await app.inject({ url, headers })
    if (answer.statusCode !== 200) throw new Error(answer.body)
    rows.push(...answer.json<Row[]>())
    url = /<([^>]+)>; rel="next"/.exec(String(answer.headers.link))?.[1]
  }
  return rows.reverse()
}

/** Takes the guards of the trail away, as somebody can who has the database to themselves. */
export async function unguarded(url: string): Promise<void> {
  for (const name of ['audit_stays', 'audit_remains']) {
    await rowsOf(
      url,
      url.startsWith('postgres') ? `drop trigger ${name} on audit` : `drop trigger ${name}`
    )
  }
}
