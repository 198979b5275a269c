import t from 'tap'
import { createProgress, formatProgressLine } from '../../src/cli/progress.ts'
import type { ApiRun } from '../../src/cli/sync-client.ts'
import { describeProgress } from '../../src/cli/sync-report.ts'

t.test('A terminal gets one line with a progress bar that fits its width', (t) => {
  const counts = {
    seen: 0,
    added: 1_200,
    changed: 3,
    unchanged: 0,
    removed: 0,
    held: 0,
    skipped: 0,
    upstream_calls: 0
  }
  const at = (progress: ApiRun['progress'], more: Partial<ApiRun> = {}): ApiRun => ({
    id: 1,
    product: 'jira',
    owner_id: 1,
    mode: 'due',
    state: 'running',
    counts,
    progress,
    failures: [],
    error: null,
    started_at: null,
    next_run_at: null,
    duration_ms: null,
    ...more
  })
  const half = at({ collection: 'pages', done: 600, expected: 1_200 })
  t.equal(
    formatProgressLine(describeProgress(half), 61_000, 119),
    '[############.............]  50 % pages 600 of 1,200 · 1,200 added, 3 changed, 0 removed · 1:01'
  )
  t.equal(
    formatProgressLine(describeProgress(half), 61_000),
    'pages 600 of 1,200 · 1,200 added, 3 changed, 0 removed · 1:01'
  )
  t.equal(
    formatProgressLine(
      describeProgress(at({ collection: 'pages', done: 1_300, expected: null })),
      3_661_000,
      119
    ),
    'pages 1,300 · 1,200 added, 3 changed, 0 removed · 1:01:01'
  )
  t.match(
    formatProgressLine(
      describeProgress(at({ collection: 'issues', done: 9, expected: 8 })),
      0,
      119
    ),
    /^\[#{25}\] 100 % issues 9 of 8 /,
    'an estimate may be too low'
  )
  t.match(
    [
      formatProgressLine(describeProgress(at(null)), 0),
      formatProgressLine(describeProgress(at(null, { state: 'queued' })), 0)
    ],
    [/^starting · /, /^queued · /]
  )
  t.match(
    formatProgressLine(
      describeProgress(
        at(null, {
          state: 'parked',
          next_run_at: new Date(Date.now() + 1_000).toISOString(),
          counts: { ...counts, held: 5, skipped: 2 }
        })
      ),
      0
    ),
    /^parked until .*\d\d:\d\d:\d\d · .*, 5 held, 2 skipped · 0:00$/
  )
  for (let columns = 1; columns < 130; columns++) {
    t.ok(
      formatProgressLine(describeProgress(half), 0, columns).length <= columns,
      `${columns} columns`
    )
  }
  t.notMatch(
    formatProgressLine(
      describeProgress(at({ collection: 'a\x1b[2J\n', done: 1, expected: null })),
      0
    ),
    /\p{C}/u
  )

  const written: string[] = []
  const display = createProgress({
    isTTY: true,
    columns: 90,
    write: (text) => written.push(text)
  })
  display.log('Beginning.')
  display.update(describeProgress(half))
  display.log('The service is unavailable. Retrying.')
  display.finish()
  const drawn = written.join('').replaceAll('\x1b[K', '<end>')
  t.match(
    drawn,
    new RegExp(
      String.raw`^Beginning\.\n` +
        String.raw`\r\[#+\.+\] {2}50 % pages .*<end>\r<end>The service is unavailable\. ` +
        String.raw`Retrying\.\n\r\[#+\.+\].*<end>\n$`
    )
  )
  const unsized: string[] = []
  const narrow = createProgress({ isTTY: true, columns: 0, write: (text) => unsized.push(text) })
  narrow.update(describeProgress(half))
  narrow.finish()
  t.match(unsized[0], /removed · 0:00/, 'a terminal that reports no width gets 80 columns')
  t.end()
})

t.test(
  'A file gets a line for each step, at most one for the same step within five seconds',
  (t) => {
    const written: string[] = []
    const progress = createProgress({ write: (text) => written.push(text) })
    progress.update({ step: 'a', text: 'a 1', share: 0.5 })
    progress.update({ step: 'a', text: 'a 2' })
    progress.log('A sentence.')
    progress.update({ step: 'b', text: 'b 1' })
    progress.finish()
    t.same(written, ['a 1 · 0:00\n', 'A sentence.\n', 'b 1 · 0:00\n'])
    t.end()
  }
)
