import t from 'tap'
import { MUTATIONS } from '../mutations/all.ts'
import type { Mutation } from '../mutations/mutation.ts'
import { renderSecurityDocument } from '../traceability/document.ts'
import { findTraceabilityGaps, OPEN_PREFIX } from '../traceability/evaluate.ts'
import { PROMISES, THREATS } from '../traceability/rows.ts'
import { findProofs, findProofsInFile } from '../traceability/titles.ts'
import { readText } from './helper.ts'

const rows = [...THREATS, ...PROMISES]
const allProofs = findProofs()

t.test('E12 Lists every threat and promise once; each has a test or states why not', (t) => {
  const ids = (letter: string, count: number, width: number) =>
    Array.from({ length: count }, (_, i) => `${letter}${String(i + 1).padStart(width, '0')}`)
  t.same(
    THREATS.map(({ id }) => id),
    ids('T', 42, 2)
  )
  t.same(
    PROMISES.map(({ id }) => id),
    [
      ...ids('A', 15, 1),
      ...ids('B', 13, 1),
      ...ids('C', 14, 1),
      ...ids('D', 14, 1),
      ...ids('E', 12, 1)
    ]
  )
  t.same(
    findTraceabilityGaps(rows, allProofs, MUTATIONS).filter(
      (sentence) => !sentence.includes(OPEN_PREFIX)
    ),
    []
  )
  t.end()
})

t.test('E12 Reports every row without a test, and every id that is in no table', (t) => {
  const before = findTraceabilityGaps(rows, allProofs, [])
  for (const { id } of rows.filter(
    ({ id, open }) => open === undefined && allProofs.some(({ ids }) => ids.includes(id))
  )) {
    const without = allProofs.map((proof) => ({
      ...proof,
      ids: proof.ids.filter((other) => other !== id)
    }))
    const added = findTraceabilityGaps(rows, without, []).filter(
      (sentence) => !before.includes(sentence)
    )
    t.match(added, [new RegExp(`^${id} .* has no test`)], id)
    t.equal(added.length, 1)
  }
  const strange = findProofsInFile(
    'test/some.test.ts',
    ["'T43 E13 A5 Something'", '`C6: it holds for $' + '{one}`', "'T01 never', { skip: true }"]
      .map((test) => `t.test(${test}, () => {})`)
      .join('\n')
  )
  t.match(strange, [
    { ids: ['T43', 'E13', 'A5'], title: 'Something' },
    { ids: ['C6'], title: 'it holds for …' }
  ])
  t.equal(strange.length, 2, 'a skipped test proves nothing')
  t.same(
    findTraceabilityGaps(rows, [...allProofs, ...strange], [])
      .filter((sentence) => !before.includes(sentence))
      .map((sentence) => sentence.slice(0, 18)),
    ['T43 is in no table', 'E13 is in no table']
  )
  t.end()
})

t.test(
  'E12 Reports every proved row that no mutation breaks, and mutations that name too much',
  (t) => {
    const [first] = MUTATIONS.filter(({ proves = [] }) => proves.length > 0)
    const [id = ''] = first?.proves ?? []
    const others = MUTATIONS.map((mutation) => ({
      ...mutation,
      proves: (mutation.proves ?? []).filter((other) => other !== id)
    }))
    t.match(findTraceabilityGaps(rows, allProofs, others), [
      new RegExp(`^${id} .* has no mutation`)
    ])
    t.match(
      findTraceabilityGaps(rows, allProofs, [
        ...MUTATIONS,
        { ...MUTATIONS[0], name: 'X', test: 'test/none.test.ts', proves: [id] } as Mutation
      ]),
      [`The mutation "X" names ${id}, which no title of test/none.test.ts carries.`]
    )
    t.end()
  }
)

t.test(
  'E12 docs/security.md names every proof and equals the generated document, so a removed test is noticed',
  (t) => {
    const written = renderSecurityDocument(THREATS, PROMISES, allProofs, MUTATIONS)
    for (const removedProof of allProofs) {
      t.not(
        renderSecurityDocument(
          THREATS,
          PROMISES,
          allProofs.filter((proof) => proof !== removedProof),
          MUTATIONS
        ),
        written,
        removedProof.title
      )
    }
    const ci = readText('.ci/run')
    t.match(
      ci,
      /npm run security:check\nnpm run docs:security\n[^#]*git diff --exit-code -- .*docs/s
    )
    t.end()
  }
)
