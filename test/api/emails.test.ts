import t from 'tap'
import { buildTestApp } from '../helper.ts'
import { createCaller, assertProblem } from './helper.ts'

const VALID_EMAILS = [
  'ada@example.com',
  'a@b.co',
  'GRACE@EXAMPLE.COM',
  'ada.lovelace@example.com',
  'ada+tag@example.com',
  'ada_l@example.com',
  'ada-l@example.com',
  "o'hara@example.com",
  '!#$%&*/=?^`{|}~@example.com',
  '1@2.3',
  'ada@sub.mail.example.co.uk',
  'ada@printer.local',
  'oauth-user-1@example.local',
  'ada@example.test',
  'ada@host.invalid',
  'ada@xn--bcher-kva.example',
  'jörg@example.com',
  'ada@bücher.example',
  '用户@例子.广告',
  'अजय@डाटा.भारत',
  'квіточка@пошта.укр',
  'θσερ@εχαμπλε.ψομ',
  '😀@example.com',
  'ada@1.2.3.4',
  'ada@ex-ample.com',
  `${'l'.repeat(64)}@example.com`,
  `a@${'d'.repeat(63)}.example`,
  `a@${['d'.repeat(63), 'd'.repeat(63), 'd'.repeat(63), 'd'.repeat(60)].join('.')}`.slice(0, 254)
]

const INVALID_EMAILS: Array<[string, string]> = [
  ['@@@', 'the original took it'],
  ['', 'empty'],
  ['a', 'no at'],
  ['@', 'only an at'],
  ['a@', 'no domain'],
  ['@b.co', 'no name'],
  ['a@b', 'no dot in the domain'],
  ['a@localhost', 'no dot in the domain'],
  ['Ada <ada@example.com>', 'display form'],
  ['<ada@example.com>', 'angle brackets'],
  ['"ada"@example.com', 'quotes'],
  ['"ada l"@example.com', 'quotes and space'],
  ['ada@@example.com', 'two ats'],
  ['a@b@example.com', 'two ats'],
  ['ada..l@example.com', 'double dot'],
  ['.ada@example.com', 'leading dot'],
  ['ada.@example.com', 'trailing dot'],
  ['ada@.example.com', 'leading dot in the domain'],
  ['ada@example.com.', 'trailing dot in the domain'],
  ['ada@example..com', 'double dot in the domain'],
  ['ada l@example.com', 'space'],
  ['ada@exa mple.com', 'space in the domain'],
  [' ada@example.com', 'leading space'],
  ['ada@example.com ', 'trailing space'],
  ['ada@example.com\n', 'line break'],
  ['ada\t@example.com', 'tab'],
  ['ada@-example.com', 'hyphen first'],
  ['ada@example-.com', 'hyphen last'],
  ['ada@exam_ple.com', 'underscore in the domain'],
  ['ada@[127.0.0.1]', 'address literal'],
  ['mailto:ada@example.com', 'scheme'],
  ['ada@example.com,bob@example.com', 'two addresses'],
  ['ada@example.com;bob@example.com', 'two addresses'],
  ['ada(comment)@example.com', 'comment'],
  ['a\\b@example.com', 'backslash'],
  ['ada@example.com/path', 'path'],
  ['ada@example.com?x', 'query'],
  ['ada\u0000@example.com', 'NUL'],
  ['ada@exam\u0000ple.com', 'NUL in the domain'],
  ['ada\u200b@example.com', 'zero-width space'],
  ['ada\u202e@example.com', 'text direction override'],
  ['ada\u00a0@example.com', 'no-break space'],
  ['ada\u3000@example.com', 'ideographic space'],
  ['ada@exam\u00adple.com', 'soft hyphen'],
  [`${'l'.repeat(65)}@example.com`, 'name of 65 characters'],
  [`a@${'d'.repeat(64)}.example`, 'label of 64 characters'],
  [
    `${'l'.repeat(64)}@${['d'.repeat(63), 'd'.repeat(63), 'd'.repeat(62)].join('.')}`,
    '255 characters'
  ],
  [`a@${'d.'.repeat(5000)}co`, 'ten thousand characters']
]

t.test('C1 An email is one bare address, internationalized or not', async (t) => {
  const { app } = await buildTestApp(t)
  const { post } = createCaller(app)
  for (const email of VALID_EMAILS) {
    const made = await post('/users', { email })
    t.equal(made.statusCode, 201, `${email.slice(0, 60)} is accepted`)
    t.equal(made.json().email, email)
  }
  const before = (await app.inject('/users')).json().length
  for (const [email, why] of INVALID_EMAILS) {
    t.match(
      assertProblem(t, await post('/users', { email }), 422, 'validation_failed', why).errors,
      [{ pointer: '/email' }]
    )
    assertProblem(
      t,
      await post('/integrations/jira/connect', { email }),
      422,
      'validation_failed',
      `connect, ${why}`
    )
  }
  for (const body of [
    '{"email":"ada\\ud800@example.com"}',
    '{"email":"\\udc00ada@example.com"}',
    '{"email":"ada@exam\\ud83dple.com"}'
  ]) {
    assertProblem(t, await post('/users', body), 422, 'validation_failed', 'lone surrogate')
  }
  t.equal((await app.inject('/users')).json().length, before, 'nothing was stored')
  t.equal(before, VALID_EMAILS.length)
})
