import t from 'tap'
import { toIsoTime } from '../../src/lib/iso-time.ts'

const DAY_MS = 86_400_000
/** The last millisecond that a `Date` holds. */
const LAST_MS = 8.64e15

t.test('Times are written as Date writes them', async (t) => {
  const times = [0, -1, 1, DAY_MS - 1, DAY_MS, -DAY_MS, 951_782_400_000, LAST_MS, -LAST_MS]
  for (let i = 0; i < 20_000; i++) {
    times.push(Math.trunc(Math.random() * 4e12), Math.trunc((Math.random() * 2 - 1) * LAST_MS))
  }
  const different = times
    .map((ms) => new Date(ms))
    .filter((date) => toIsoTime(date) !== date.toISOString())
  t.same(different, [])
  for (const invalid of [NaN, LAST_MS + 1]) {
    t.throws(() => toIsoTime(new Date(invalid)), RangeError)
  }
})
