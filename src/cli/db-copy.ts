import { clock, number } from './terminal.ts'
import { isDatabaseUrl } from '../config/formats.ts'
import { loadDatabaseSettings } from '../config/load.ts'
import { runCommand, wrong } from './database-command.ts'
import { isSqlite } from '../store/admin/raw-database.ts'
import { copyAll, type Copied } from '../store/admin/copy.ts'
import { finish, openFrom, openTo } from '../store/admin/copy-endpoints.ts'
import { createProgress, type Output } from './progress.ts'

const HELP = `npm run db:copy -- [--from ADDRESS] --to ADDRESS   copy a whole database into an empty one, from one engine to the other
  --from ADDRESS   sqlite:///path or postgres://…, only read; default: INTEGRATION_DB_URL
  --to ADDRESS     the same; an empty database, or a copy that was interrupted

Stop the service first: what it writes from now on is not copied. Interrupted, the same command goes on where it was.
Ends with 0 when both sides were compared and are equal. A password is best left out of the address and given in PGPASSWORD,
because the list of processes shows what was typed (docs/backup.md).
`
const ONE_ONLY =
  "Run the service on one of the two only, from now on: two would end each other's consents."
const RULE = 'must be sqlite:///path, sqlite:////absolute/path or postgres://…'

/** `npm run db:copy`. */
await runCommand(HELP, ['from', 'to'], async ({ from, to }) => {
  if (to === undefined) throw wrong('--to is lacking.', HELP)
  if (!isDatabaseUrl(to)) throw wrong(`--to ${RULE}.`, HELP)
  if (from !== undefined && !isDatabaseUrl(from)) throw wrong(`--from ${RULE}.`, HELP)
  const { databaseUrl, database } = loadDatabaseSettings(process.env)
  const output = process.stderr as Output

  const source = await openFrom(
    from ?? databaseUrl,
    from === undefined ? 'INTEGRATION_DB_URL' : '--from'
  )
  try {
    if (await source.isInUse()) {
      output.write(
        `The source seems to be in use${isSqlite(from ?? databaseUrl) ? ', or was not closed when its service ended' : ''}: what is written to it from now on is not copied.\n`
      )
    }
    const target = await openTo(to, source, database)
    if (target === undefined) {
      return console.log(`Nothing is left to copy: the same counts and checksums.\n${ONE_ONLY}`)
    }
    const progress = createProgress(output, 2 * (await total(source)))
    try {
      const copied = await copyAll(source, target, progress)
      await finish(target)
      progress.clear()
      console.log(sentence(copied, source.tables.length))
    } finally {
      progress.clear()
      await target.close()
    }
  } finally {
    await source.close()
  }
})

async function total(source: Awaited<ReturnType<typeof openFrom>>): Promise<number> {
  let rows = 0
  for (const { name } of source.tables) {
    rows += Number((await source.ask(`select count(*) from "${name}"`))[0]?.[0])
  }
  return rows
}

function sentence({ rows, before, copyMs, compareMs }: Copied, tables: number): string {
  const rate = Math.round(((rows - before) / Math.max(1, copyMs)) * 1_000)
  return (
    `${number(rows)} rows of ${tables} tables${before > 0 ? `, ${number(before)} of them from before,` : ''} copied in ${clock(copyMs)} (${number(rate)} rows/s) and compared in ${clock(compareMs)}: ` +
    `the same counts and checksums.\n${ONE_ONLY}`
  )
}
