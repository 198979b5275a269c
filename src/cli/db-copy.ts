import { formatDuration, formatNumber } from './terminal.ts'
import { isDatabaseUrl } from '../config/formats.ts'
import { loadDatabaseSettings } from '../config/load.ts'
import { defineDatabaseCommand, usageErrorWithMessage } from './database-command.ts'
import { isSqliteUrl } from '../store/admin/open-raw-database.ts'
import { copyDatabase, type CopyResult } from '../store/admin/copy.ts'
import { completeCopy, openCopySource, openCopyTarget } from '../store/admin/copy-endpoints.ts'
import { createProgress, type ProgressOutput } from './progress.ts'

const HELP = `npm run db:copy -- [--from ADDRESS] --to ADDRESS   copy a whole database into an empty one, from one engine to the other
  --from ADDRESS   sqlite:///path or postgres://…, only read; default: INTEGRATION_DB_URL
  --to ADDRESS     the same; an empty database, or a copy that was interrupted

Stop the service first: what it writes from now on is not copied. Interrupted, the same command goes on where it was.
Ends with 0 when both sides were compared and are equal. A password is best left out of the address and given in PGPASSWORD,
because the list of processes shows what was typed (docs/backup.md).
`
const SINGLE_SERVICE_NOTE =
  "Run the service on one of the two only, from now on: two would end each other's consents."
const ADDRESS_RULE = 'must be sqlite:///path, sqlite:////absolute/path or postgres://…'

/** `npm run db:copy`. */
await defineDatabaseCommand(HELP, ['from', 'to'], async ({ from, to }) => {
  if (to === undefined) throw usageErrorWithMessage('--to is lacking.', HELP)
  if (!isDatabaseUrl(to)) throw usageErrorWithMessage(`--to ${ADDRESS_RULE}.`, HELP)
  if (from !== undefined && !isDatabaseUrl(from)) {
    throw usageErrorWithMessage(`--from ${ADDRESS_RULE}.`, HELP)
  }
  const { databaseUrl, database } = await loadDatabaseSettings(process.env)
  const output = process.stderr as ProgressOutput

  const source = await openCopySource(
    from ?? databaseUrl,
    from === undefined ? 'INTEGRATION_DB_URL' : '--from'
  )
  try {
    if (await source.isInUse()) {
      output.write(
        `The source seems to be in use${isSqliteUrl(from ?? databaseUrl) ? ', or was not closed when its service ended' : ''}: what is written to it from now on is not copied.\n`
      )
    }
    const target = await openCopyTarget(to, source, database)
    if (target === undefined) {
      return console.log(
        `Nothing is left to copy: the same counts and checksums.\n${SINGLE_SERVICE_NOTE}`
      )
    }
    const progress = createProgress(output, 2 * (await countRows(source)))
    try {
      const copied = await copyDatabase(source, target, progress)
      await completeCopy(target)
      progress.clear()
      console.log(formatSummary(copied, source.tables.length))
    } finally {
      progress.clear()
      await target.close()
    }
  } finally {
    await source.close()
  }
})

async function countRows(source: Awaited<ReturnType<typeof openCopySource>>): Promise<number> {
  let rows = 0
  for (const { name } of source.tables) {
    rows += Number((await source.query(`select count(*) from "${name}"`))[0]?.[0])
  }
  return rows
}

function formatSummary(
  { rows, resumedRows, copyMs, compareMs }: CopyResult,
  tables: number
): string {
  const rate = Math.round(((rows - resumedRows) / Math.max(1, copyMs)) * 1_000)
  return (
    `${formatNumber(rows)} rows of ${tables} tables${resumedRows > 0 ? `, ${formatNumber(resumedRows)} of them from before,` : ''} copied in ${formatDuration(copyMs)} (${formatNumber(rate)} rows/s) and compared in ${formatDuration(compareMs)}: ` +
    `the same counts and checksums.\n${SINGLE_SERVICE_NOTE}`
  )
}
