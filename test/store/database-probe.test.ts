import t from 'tap'
import { createDatabaseProbe } from '../../src/store/database-probe.ts'
import { describeFailure } from '../../src/store/failure-reason.ts'
import { AppError } from '../../src/lib/errors.ts'

const log = { info: () => {}, warn: () => {}, error: () => {}, debug: () => {} }

t.test('Concurrent checks share one probe; a probe that hangs is reported in time', async (t) => {
  let count = 0
  let release = () => {}
  const gate = new Promise<void>((resolve) => {
    release = resolve
  })
  const probe = createDatabaseProbe(
    {
      readTables: async () => {
        count++
        await gate
      },
      serviceState: { writeProbe: async () => {} } as never
    },
    log as never
  )
  const results = await Promise.all(Array.from({ length: 20 }, async () => await probe.check(50)))
  t.same([...new Set(results)], ['timeout'])
  t.equal(count, 1)
  const waiting = probe.check(60_000)
  release()
  t.equal(await waiting, undefined, 'the answer to the probe that was running')
  t.equal(count, 1)
})

t.test('A failure is one word, without a path, SQL or the text of a driver', async (t) => {
  const withCode = (code: string) => Object.assign(new Error('planted /path select'), { code })
  for (const [code, reason] of [
    ['SQLITE_FULL', 'disk_full'],
    ['53100', 'disk_full'],
    ['SQLITE_READONLY', 'read_only'],
    ['SQLITE_READONLY_DBMOVED', 'file_replaced'],
    ['25006', 'read_only'],
    ['SQLITE_CORRUPT', 'damaged'],
    ['SQLITE_NOTADB', 'damaged'],
    ['XX001', 'damaged'],
    ['SQLITE_IOERR_WRITE', 'io_error'],
    ['42501', 'permission_denied'],
    ['42P01', 'missing_table'],
    ['26000', 'prepared_statements_broken'],
    ['42P05', 'prepared_statements_broken'],
    ['53300', 'too_many_connections'],
    ['57P01', 'unreachable'],
    ['ECONNREFUSED', 'unreachable'],
    ['XYZ12', 'error']
  ] as const) {
    t.equal(describeFailure(withCode(code)), reason, code)
    if (reason === 'error') continue
    const cause = withCode(code)
    t.equal(describeFailure(new AppError('database_unavailable', 'x', { cause })), reason, code)
  }
  t.equal(describeFailure(new AppError('database_unavailable', 'x')), 'unreachable')
  t.equal(describeFailure(new AppError('database_busy', 'x')), 'busy')
  t.equal(describeFailure('text'), 'error')
})
