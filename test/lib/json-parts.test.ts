import t from 'tap'
import { serializeInParts } from '../../src/http/json-parts.ts'

t.test('T33 A value with long texts is the same JSON in parts, none of them much longer', (t) => {
  const long = 'a"\\\n\u2028😀'.repeat(40_000)
  for (const value of [
    { key: 'A', at: new Date(0), none: null, list: [1, 'x', { y: true }] },
    { key: 'A', body: { storage: long, text: 'x' }, at: new Date(0) },
    { list: [long, { deep: [`😀${long}`] }], empty: '' },
    ['x', long]
  ]) {
    const parts = [...serializeInParts(value)]
    t.ok(parts.join('') === JSON.stringify(value), 'the same text')
    t.ok(
      parts.every((part) => part.length < 400_000 && part.isWellFormed()),
      'whole characters'
    )
  }
  t.end()
})

t.test('A text that looks like a mark of another answer stays as it is', (t) => {
  const long = 'a'.repeat(70_000)
  const value = { body: long, title: '00000000-0000-4000-8000-000000000000.0' }
  t.equal([...serializeInParts(value)].join(''), JSON.stringify(value))
  t.end()
})
