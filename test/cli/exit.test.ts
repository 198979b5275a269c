import t from 'tap'
import { reportError } from '../../src/cli/exit.ts'
import { AppError } from '../../src/lib/errors.ts'

t.test('E2 A database that stops to answer during the start ends it with a sentence', (t) => {
  const printed = t.capture(console, 'error')
  const error = new AppError(
    'database_unavailable',
    'The database cannot be reached at the moment.'
  )
  t.equal(reportError(error), 1)
  t.same(
    printed().map(({ args }) => args),
    [
      [
        'The database cannot be reached at the moment. Check the server and the network, and try again.'
      ]
    ]
  )
  t.end()
})

t.test('E2 A defect of this program keeps its stack', (t) => {
  const printed = t.capture(console, 'error')
  const error = new AppError('internal_error', 'Unexpected.')
  t.equal(reportError(error), 1)
  t.same(
    printed().map(({ args }) => args),
    [[error]]
  )
  t.end()
})
