import t from 'tap'
import { addJitter, computeBackoffMs, extendToRetryAfter } from '../../src/lib/backoff.ts'

const LIMITS = { initialMs: 1_000, maxMs: 30_000 }

t.test('The delay doubles with each failure, up to the maximum, within 30 %', async (t) => {
  const expected = [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]
  for (const [i, delayMs] of expected.entries()) {
    for (let sample = 0; sample < 50; sample++) {
      const actual = computeBackoffMs(i + 1, LIMITS)
      t.ok(actual >= delayMs * 0.7 && actual <= delayMs * 1.3, `${i + 1} failures: ${actual}`)
    }
  }
  t.ok(computeBackoffMs(5_000, LIMITS) <= 39_000, 'many failures do not overflow')
})

t.test('Jitter spreads delays over the whole range', async (t) => {
  const samples = Array.from({ length: 500 }, () => addJitter(100, 0.5))
  t.ok(Math.min(...samples) >= 50 && Math.min(...samples) < 70)
  t.ok(Math.max(...samples) <= 150 && Math.max(...samples) > 130)
})

t.test(
  'Retry-After extends a delay up to the honoured maximum and never shortens it',
  async (t) => {
    t.equal(extendToRetryAfter(2_000, undefined, 60_000), 2_000)
    t.equal(extendToRetryAfter(2_000, 1, 60_000), 2_000)
    t.equal(extendToRetryAfter(2_000, 10, 60_000), 10_000)
    t.equal(extendToRetryAfter(2_000, 3_600, 60_000), 60_000)
  }
)
