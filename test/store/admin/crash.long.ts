import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { many } from '../../auth/helper.ts'
import { startServer } from '../../postgres/server.ts'
import { folder } from '../../process/child.ts'
import { command, contents, copying, sqlite, withPages, type Make } from './helper.ts'

const server = await startServer()
t.teardown(() => server.remove())
const PAGES = many(20_000, 1_000_000)
const KILLS = many(3, 8)

const postgres: Make = async () => await server.createDatabase()
const WAYS: Array<[name: string, from: Make, to: Make]> = [
  ['SQLite to PostgreSQL', sqlite, postgres],
  ['PostgreSQL to SQLite', postgres, sqlite]
]

for (const [name, from, to] of WAYS) {
  t.test(
    `D13 ${name}: killed at any moment, the same command goes on where it was, and ends equal`,
    async (t) => {
      const cwd = folder(t)
      const source = await from(cwd, 'source')
      await withPages(source, PAGES)
      const there = await contents(source)
      let target = await to(cwd, 'target 0')
      const beganAt = performance.now()
      t.match(await command(cwd, 'copy', ['--from', source, '--to', target]), { code: 0 })
      const wholeMs = performance.now() - beganAt
      t.same(await contents(target), there)
      target = await to(cwd, 'target 1')
      let [kills, wentOn] = [0, 0]
      for (let tries = 0; kills < KILLS && tries < 10 * KILLS; tries++) {
        const { child, ended } = copying(cwd, source, target)
        await Promise.race([ended, sleep(wholeMs * (0.3 + 0.6 * Math.random()))])
        child.kill('SIGKILL')
        const { code, stderr } = await ended
        if (/\d were there/.test(stderr)) wentOn++
        if (code === null) kills++
        // It was faster: the next one begins with nothing.
        else target = await to(cwd, `target ${tries + 2}`)
      }
      const last = await command(cwd, 'copy', ['--from', source, '--to', target])
      t.match(last, { code: 0 }, last.stderr)
      t.same(await contents(target), there)
      t.equal(kills, KILLS)
      t.comment(
        `${kills} kills, after ${wentOn} of them and the last (${/ \S+ of them from before/.exec(last.stdout)?.[0] ?? 'nothing was there'}) it went on; ${/\(.* rows\/s\)/.exec(last.stdout)?.[0]}`
      )
    }
  )
}
