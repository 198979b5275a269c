import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { pickByScale } from '../../auth/helper.ts'
import { startPostgresServer } from '../../postgres/server.ts'
import { createTempFolder } from '../../process/child.ts'
import { runCommand, spawnCommand } from '../../process/command.ts'
import {
  digestTables,
  createSqliteDatabase,
  fillWithPages,
  type DatabaseFactory
} from './helper.ts'

const server = await startPostgresServer()
t.teardown(() => server.remove())
const PAGE_COUNT = pickByScale(20_000, 1_000_000)
const KILL_COUNT = pickByScale(3, 8)
/** When a copy is killed: after this output and up to this share of the duration of a whole copy. */
const MOMENTS: Array<[output: RegExp, share: number]> = [
  [/: [\d,]+ copied/, 0.5],
  [/pages: [\d,]+ copied/, 0.1],
  [/Comparing/, 0.02]
]

const createPostgresDatabase: DatabaseFactory = async () => await server.createDatabase()
const DIRECTIONS: Array<[name: string, from: DatabaseFactory, to: DatabaseFactory]> = [
  ['SQLite to PostgreSQL', createSqliteDatabase, createPostgresDatabase],
  ['PostgreSQL to SQLite', createPostgresDatabase, createSqliteDatabase]
]

for (const [name, from, to] of DIRECTIONS) {
  t.test(
    `D13 ${name}: after a kill at any moment the same command resumes and completes the copy`,
    async (t) => {
      const cwd = createTempFolder(t)
      const source = await from(cwd, 'source')
      await fillWithPages(source, PAGE_COUNT)
      const there = await digestTables(source)
      let target = await to(cwd, 'target 0')
      const beganAt = performance.now()
      t.match(await runCommand(['db', 'copy', '--from', source, '--to', target], { cwd }), {
        code: 0
      })
      const wholeMs = performance.now() - beganAt
      t.same(await digestTables(target), there)
      target = await to(cwd, 'target 1')
      let [kills, wentOn] = [0, 0]
      for (let tries = 0; kills < KILL_COUNT && tries < 10 * KILL_COUNT; tries++) {
        const { child, completion, waitForOutput } = spawnCommand(
          ['db', 'copy', '--from', source, '--to', target],
          { cwd }
        )
        const [output, share] = MOMENTS[tries % MOMENTS.length] as (typeof MOMENTS)[number]
        await Promise.race([completion, waitForOutput(output).catch(() => undefined)])
        await Promise.race([completion, sleep(wholeMs * share * Math.random())])
        child.kill('SIGKILL')
        const { code, stderr } = await completion
        if (/\d copied before/.test(stderr)) wentOn++
        if (code === null) kills++
        // The copy finished before the kill: the next attempt starts with an empty target.
        else target = await to(cwd, `target ${tries + 2}`)
      }
      const last = await runCommand(['db', 'copy', '--from', source, '--to', target], { cwd })
      t.match(last, { code: 0 }, last.stderr)
      t.same(await digestTables(target), there)
      t.equal(kills, KILL_COUNT)
      t.comment(
        `${kills} kills, after ${wentOn} of them and the last ` +
          `(${/ \S+ of them from before/.exec(last.stdout)?.[0] ?? 'nothing was there'}) it ` +
          `resumed; ${/\(.* rows\/s\)/.exec(last.stdout)?.[0]}`
      )
    }
  )
}
