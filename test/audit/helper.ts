import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { queryDatabase } from '../database.ts'
import { VAULT_KEY } from '../helper.ts'
import { resolveNextPage } from '../network.ts'
import { runCommand, type CommandOutput } from '../process/command.ts'

export interface AuditRow {
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

/** Runs `connector audit ARGS` with the vault key of `buildTestApp`. */
export const runAudit = async (url: string, ...args: string[]): Promise<CommandOutput> =>
  await runCommand(['audit', ...args], {
    env: { INTEGRATION_DB_URL: url, VAULT_KEYS: VAULT_KEY }
  })

export const runAuditVerify = async (url: string, keys = VAULT_KEY): Promise<CommandOutput> =>
  await runCommand(['audit', 'verify'], { env: { INTEGRATION_DB_URL: url, VAULT_KEYS: keys } })

/** The complete trail from `GET /audit`, oldest first. */
export async function readAuditTrail(
  app: FastifyInstance,
  { headers = {}, query = '' }: { headers?: Record<string, string>; query?: string } = {}
): Promise<AuditRow[]> {
  const rows: AuditRow[] = []
  for (let url: string | undefined = `/audit?limit=100${query}`; url !== undefined;) {
    const answer: LightMyRequestResponse = await app.inject({ url, headers })
    if (answer.statusCode !== 200) throw new Error(answer.body)
    rows.push(...answer.json<AuditRow[]>())
    url = resolveNextPage(url, answer.headers.link)
  }
  return rows.reverse()
}

const TRIGGERS = {
  audit: ['audit_stays', 'audit_remains', 'audit_appends'],
  audit_head: ['audit_head_advances', 'audit_head_remains']
}

/** Drops the triggers that protect the trail, as a person with full database access can. */
export async function dropAuditTriggers(url: string): Promise<void> {
  const isPostgres = url.startsWith('postgres')
  for (const [table, names] of Object.entries(TRIGGERS)) {
    for (const name of names) {
      await queryDatabase(url, `drop trigger ${name}${isPostgres ? ` on ${table}` : ''}`)
    }
  }
  if (!isPostgres) await queryDatabase(url, 'drop trigger audit_head_once')
}
