import t from 'tap'
import { isKey } from '../../src/lib/formats.ts'
import { buildTestApp } from '../helper.ts'
import { assertProblem, createCaller } from './helper.ts'

const PROJECT = { owner_id: 1, key: 'PAY', name: 'Payments' }
const PAGE = { owner_id: 1, space_key: 'ENG', page_id: '302737', title: 'Runbook' }

/** Every field that is a part of an item's natural key, with the longest value it may have. */
const KEY_FIELDS = [
  ['/jira/projects', PROJECT, 'key', 64],
  ['/confluence/pages', PAGE, 'space_key', 64],
  ['/confluence/pages', PAGE, 'page_id', 128]
] as const

const HOSTILE_CHARACTERS = {
  'a control character': ['\u0001', '\u001b', '\u007f', '\u0085', '\t', '\r\n'],
  'a bidirectional mark': ['\u200e', '\u200f', '\u202a', '\u202e', '\u2066', '\u2069', '\u061c'],
  'a zero-width character': ['\u200b', '\u200c', '\u200d', '\u2060', '\ufeff', '\u034f', '\u3164'],
  'an invisible mark of a script': ['\ufff9', '\u0600', '\u{110bd}'],
  'a soft hyphen, a line separator or a tag': ['\u00ad', '\u2028', '\u2029', '\u{e0041}'],
  'a slash': ['/', '\\', '%2F', '%5c']
}
const VISIBLE_KEYS = ['a.b', '...', '~ada', 'Ünï-çödé_1', '日本', 'PAY 2', '100%']
const DOT_SEGMENTS = ['.', '..', '%2e', '%2E%2e', '.%2e']

t.test(
  'C1 T17 A hand-posted key or id has visible characters only, and is one segment',
  async (t) => {
    const { app } = await buildTestApp(t)
    const { post, get } = createCaller(app)
    await post('/users', { email: 'ada@example.com' })
    for (const [path, body, field, maxLength] of KEY_FIELDS) {
      const refused = [
        ...Object.values(HOSTILE_CHARACTERS).map(([character]) => `PA${character}Y`),
        '..',
        'A'.repeat(maxLength + 1)
      ]
      for (const value of refused) {
        const answer = await post(path, { ...body, [field]: value })
        const title = `${field} ${encodeURIComponent(value)}`
        const { errors } = assertProblem(t, answer, 422, 'validation_failed', title)
        t.match(errors, [{ pointer: `/${field}` }])
      }
      t.equal((await post(path, { ...body, [field]: 'A'.repeat(maxLength) })).statusCode, 201)
      for (const value of VISIBLE_KEYS) {
        t.equal(
          (await post(path, { ...body, [field]: value })).statusCode,
          201,
          `${field} ${value}`
        )
      }
    }
    t.equal(
      (await get('/jira/projects/1')).json().length,
      VISIBLE_KEYS.length + 1,
      'only the accepted ones are stored'
    )
  }
)

t.test('C1 T17 No place in a key hides a hostile character or a dot segment', (t) => {
  for (const [title, characters] of Object.entries(HOSTILE_CHARACTERS)) {
    for (const character of characters) {
      for (const value of [character, `${character}PAY`, `PA${character}Y`, `PAY${character}`]) {
        t.notOk(isKey(value), `${title}: ${encodeURIComponent(value)}`)
      }
    }
  }
  for (const value of DOT_SEGMENTS) t.notOk(isKey(value), value)
  for (const value of VISIBLE_KEYS) t.ok(isKey(value), value)
  t.end()
})
