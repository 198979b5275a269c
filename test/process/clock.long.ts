import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { queryDatabase } from '../database.ts'
import { fillDatabase } from '../store/admin/helper.ts'
import { DAY_MS } from '../time.ts'
import { waitFor } from '../helper.ts'
import { createTempFolder, startServiceProcess } from './child.ts'

/** Where Debian's package libfaketime, and test/proxies/install.sh, put the library. */
const LIBRARY = ['', join(import.meta.dirname, '../../node_modules/.cache/proxies')]
  .map((root) => `${root}/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1`)
  .find((path) => existsSync(path))

t.test(
  'D10 A running service whose clock is set back by a day syncs again within a minute',
  { skip: LIBRARY === undefined && 'libfaketime is not there: test/proxies/install.sh unpacks it' },
  async (t) => {
    const cwd = createTempFolder(t)
    const url = `sqlite:///${join(cwd, 'integration.db')}`
    const filled = await fillDatabase(t, url)
    const offsetFile = join(cwd, 'offset')
    writeFileSync(offsetFile, '+0\n')
    const service = await startServiceProcess(t, {
      cwd,
      env: {
        ...filled.env,
        INTEGRATION_DB_URL: url,
        SYNC_INTERVAL: '10',
        LD_PRELOAD: LIBRARY,
        FAKETIME_TIMESTAMP_FILE: offsetFile,
        FAKETIME_NO_CACHE: '1',
        FAKETIME_DONT_FAKE_MONOTONIC: '1'
      }
    })
    const listStarts = async () =>
      (await queryDatabase<{ created_at: number }>(url, 'select created_at from runs')).map(
        ({ created_at: at }) => Number(at)
      )
    const before = await listStarts()
    writeFileSync(offsetFile, '-1d\n')
    const setAt = performance.now()
    await waitFor(() => service.output().includes('"event":"clock_changed"'), 120_000)
    await waitFor(
      async () => (await listStarts()).filter((at) => at < Date.now() - DAY_MS / 2).length >= 2,
      120_000
    )
    t.ok(performance.now() - setAt < 60_000, `${Math.round(performance.now() - setAt)} ms`)
    t.ok((await listStarts()).length > before.length)
    t.match(service.output(), /"event":"schedules_corrected"/)
    const answer = await fetch(`${service.url}/readyz`)
    t.equal(answer.status, 200)
    t.equal(await service.stop(), 0)
  }
)
