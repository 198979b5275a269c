import { defineCommand, JSON_OPTION, printResult } from './command.ts'
import { createProgress, type Progress, type ProgressOutput } from './progress.ts'
import { formatDuration } from './terminal.ts'
import { isDatabaseUrl } from '../config/formats.ts'
import { loadDatabaseSettings } from '../config/load.ts'
import { formatNumber } from '../lib/formats.ts'
import { completeCopy, openCopySource, openCopyTarget } from '../store/admin/copy-endpoints.ts'
import { copyDatabase, type CopyEvent, type CopyResult } from '../store/admin/copy.ts'
import { isSqliteUrl } from '../store/admin/open-raw-database.ts'

const SINGLE_SERVICE_NOTE =
  "From now on run the service on one of the two only: two would invalidate each other's tokens."
const ADDRESS_OPTION = {
  rule: 'must be sqlite:///path, sqlite:////absolute/path or postgres://host/database',
  parse: (text: string) => (isDatabaseUrl(text) ? text : undefined)
} as const

export const copyDatabaseCommand = defineCommand({
  description:
    'Copy the whole database into an empty one, also from one engine to the other, and compare both.\n' +
    'Stop the service first: later writes are not copied. After an interruption the same command\n' +
    'continues. Leave the password out of the address and set PGPASSWORD: the list of processes\n' +
    'shows the command line (docs/backup.md).',
  options: {
    from: {
      flags: '--from <address>',
      description: 'The source, which is only read. Default: INTEGRATION_DB_URL.',
      ...ADDRESS_OPTION
    },
    to: {
      flags: '--to <address>',
      description: 'The target: an empty database, or an interrupted copy.',
      isRequired: true,
      ...ADDRESS_OPTION
    },
    json: JSON_OPTION
  },
  examples: [
    ['--to postgres://connector@db.example/connector', 'From INTEGRATION_DB_URL to PostgreSQL.'],
    ['--from postgres://db.example/connector --to sqlite:///copy.db', 'From PostgreSQL to a file.']
  ],
  usesDatabase: true,
  async run({ from, to, json }) {
    const { databaseUrl, database } = await loadDatabaseSettings(process.env)
    const output = process.stderr as ProgressOutput
    const sourceUrl = from ?? databaseUrl
    const source = await openCopySource(
      sourceUrl,
      from === undefined ? 'INTEGRATION_DB_URL' : '--from'
    )
    try {
      if (await source.isInUse()) {
        output.write(
          `The source seems to be in use${isSqliteUrl(sourceUrl) ? ', or its service was killed' : ''}. ` +
            'Rows written from now on are not copied.\n'
        )
      }
      const target = await openCopyTarget(to, source, database)
      if (target === undefined) {
        return printResult(
          json,
          { rows: 0, tables: source.tables.length, is_equal: true },
          `Nothing is left to copy: counts and checksums are equal.\n${SINGLE_SERVICE_NOTE}`
        )
      }
      const progress = createProgress(output)
      try {
        const reportEvent = createReporter(progress, 2 * (await countRows(source)))
        const copied = await copyDatabase(source, target, reportEvent)
        await completeCopy(target)
        progress.finish()
        printResult(
          json,
          {
            rows: copied.rows,
            resumed_rows: copied.resumedRows,
            tables: source.tables.length,
            is_equal: true
          },
          formatSummary(copied, source.tables.length)
        )
      } finally {
        progress.finish()
        await target.close()
      }
    } finally {
      await source.close()
    }
  }
})

/** @param total the rows that are read: each one when it is copied and when it is compared */
function createReporter(progress: Progress, total: number): (event: CopyEvent) => void {
  let done = 0
  return (event) => {
    switch (event.kind) {
      case 'rows':
        done += event.rows
        if (!progress.isTerminal) return
        return progress.update({
          step: event.phase,
          text: `${event.phase} ${event.table}, ${formatNumber(done)} of ${formatNumber(total)} rows`,
          share: done / Math.max(1, total)
        })
      case 'restarted':
        done -= event.rows
        return progress.log(
          `${event.table}: the source or the copy has changed since the interruption. Copying it again.`
        )
      case 'copied':
        if (progress.isTerminal) return
        return progress.log(
          `${event.table}: ${formatNumber(event.rows)} copied${formatResumed(event.resumedRows)}`
        )
      case 'comparing':
        if (!progress.isTerminal) progress.log('Comparing')
    }
  }
}

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
    `Copied ${formatNumber(rows)} rows of ${tables} tables in ${formatDuration(copyMs)}` +
    ` (${formatNumber(rate)} rows/s)${formatResumed(resumedRows)} and compared them in` +
    ` ${formatDuration(compareMs)}: counts and checksums are equal.\n${SINGLE_SERVICE_NOTE}`
  )
}

function formatResumed(rows: number): string {
  return rows > 0 ? `, ${formatNumber(rows)} copied before` : ''
}
