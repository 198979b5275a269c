import t from 'tap'
import { AppError } from '../../src/lib/errors.ts'
import { retry, retryOnConflict, retryUntil } from '../../src/lib/retry.ts'

function failTimes(failures: number, createError: (attempt: number) => Error) {
  const operation = Object.assign(
    async () => {
      if (++operation.attempts <= failures) throw createError(operation.attempts)
      return 'done'
    },
    { attempts: 0 }
  )
  return operation
}
const createBusyError = () => new AppError('database_busy', 'The database is busy.')

t.test(
  'Repeats the operation until it succeeds, with the delays that the caller returns',
  async (t) => {
    const operation = failTimes(3, (attempt) => new Error(String(attempt)))
    const seen: unknown[] = []
    const startedAt = performance.now()
    const result = await retry(operation, (error) => {
      seen.push((error as Error).message)
      return seen.length === 1 ? 0 : 20
    })
    t.equal(result, 'done')
    t.strictSame(seen, ['1', '2', '3'])
    t.ok(performance.now() - startedAt >= 38, 'waits twice')
  }
)

t.test('Ends with the error that the caller throws', async (t) => {
  const operation = failTimes(9, () => new Error('lost'))
  const giveUp = (cause: unknown): number => {
    if (operation.attempts < 3) return 1
    throw new Error('gave up', { cause })
  }
  await t.rejects(retry(operation, giveUp), { message: 'gave up', cause: { message: 'lost' } })
  t.equal(operation.attempts, 3)
})

t.test('A signal ends the wait with `interrupted`', async (t) => {
  const operation = failTimes(9, () => new Error('lost'))
  await t.rejects(
    retry(operation, () => 60_000, AbortSignal.timeout(20)),
    { code: 'interrupted' }
  )
  t.equal(operation.attempts, 1)
})

t.test('retryUntil repeats database errors until the deadline, and nothing else', async (t) => {
  t.equal(await retryUntil(failTimes(2, createBusyError), performance.now() + 5_000, 1), 'done')
  const late = failTimes(9, createBusyError)
  await t.rejects(retryUntil(late, performance.now() - 1, 1), { code: 'database_busy' })
  t.equal(late.attempts, 1)
  const other = failTimes(9, () => new AppError('needs_reconnect', 'Connect again.'))
  await t.rejects(retryUntil(other, performance.now() + 5_000, 1), { code: 'needs_reconnect' })
  t.equal(other.attempts, 1)
})

t.test(
  'retryOnConflict repeats an update that met a concurrent writer, a limited number of times',
  async (t) => {
    let attempts = 0
    const succeedAt = (last: number) => async () => (++attempts < last ? undefined : attempts)
    t.equal(await retryOnConflict(succeedAt(3), 5), 3)
    attempts = 0
    t.equal(await retryOnConflict(succeedAt(9), 5), undefined)
    t.equal(attempts, 5)
  }
)
