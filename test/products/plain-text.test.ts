import t from 'tap'
import { toPlainText } from '../../src/providers/confluence/plain-text.ts'

const CASES: Array<[what: string, storage: string, text: string]> = [
  ['one line per block', '<h1>Title</h1><p>One</p><p>Two<br/>Three</p>', 'Title\nOne\nTwo\nThree'],
  ['inline elements join', '<p>re<strong>start</strong>ed</p>', 'restarted'],
  [
    'CDATA is text, markup and entities in it included',
    '<ac:plain-text-body><![CDATA[if (a < b && c) { <b>&amp;</b> }]]></ac:plain-text-body>',
    'if (a < b && c) { <b>&amp;</b> }'
  ],
  ['CDATA that is never closed', '<p>a</p><![CDATA[b < c', 'a\nb < c'],
  [
    'named entities',
    '<p>a&nbsp;b &amp;&lt;&gt;&quot;&apos; &ndash;&hellip;&rsquo;&eacute;</p>',
    'a b &<>"\' –…’é'
  ],
  ['numeric entities', '<p>&#65;&#x42;&#128512;</p>', 'AB😀'],
  ['text that is no entity stays', '<p>AT&T &unknown; a & b</p>', 'AT&T &unknown; a & b'],
  [
    'parameters of nested macros are left out, their bodies are kept',
    '<ac:structured-macro ac:name="panel"><ac:parameter ac:name="title">x</ac:parameter>' +
      '<ac:rich-text-body><p>Outer</p><ac:structured-macro ac:name="code">' +
      '<ac:parameter ac:name="language">sql</ac:parameter>' +
      '<ac:plain-text-body><![CDATA[select 1]]></ac:plain-text-body></ac:structured-macro>' +
      '</ac:rich-text-body></ac:structured-macro><p>After</p>',
    'Outer\nselect 1After'
  ],
  [
    'a parameter inside a parameter',
    '<ac:parameter>a<ac:parameter>b</ac:parameter>c</ac:parameter>d',
    'd'
  ],
  ['an empty parameter', '<ac:parameter ac:name="x"/>text', 'text'],
  ['a parameter that is never closed', '<p>a</p><ac:parameter>b<p>c</p>', 'a'],
  [
    'a table: one line per row',
    '<table><tbody><tr><th>A </th><th>B</th></tr><tr><td>1 </td><td>2</td></tr></tbody></table>',
    'A B\n1 2'
  ],
  ['tags that are never closed', '<p>a<div>b<strong>c', 'abc'],
  ['closing tags without an opening one', 'a</p></strong>b</ac:parameter>c', 'a\nbc'],
  ['a tag that never ends', '<p>a</p><a href="b', 'a'],
  ['comments and attributes', '<p title="no &gt; text">a<!-- no --></p>', 'a'],
  ['names in any case', '<P>a</P><AC:PARAMETER>b</AC:PARAMETER>c', 'a\nc'],
  [
    'elements that HTML reads as raw text',
    '<title>a<b>b</b></title><script><i>c</i></script>',
    'abc'
  ],
  ['white space collapses', '<p>  a \t b  </p>\n\n\n\n<p>c</p>', 'a b\n\nc'],
  ['nothing', '', '']
]

for (const [what, storage, text] of CASES) {
  t.test(`The plain text of storage format: ${what}`, async (t) => {
    t.equal(toPlainText(storage), text)
  })
}

t.test('Hostile storage format of 4 MiB takes linear time', async (t) => {
  for (const part of [
    '<a>',
    '</b>',
    '<a></b>',
    '<ac:parameter>',
    '<![CDATA[',
    '&amp',
    '<!--',
    '<p '
  ]) {
    const startedAt = performance.now()
    toPlainText(part.repeat(Math.floor((4 * 1024 * 1024) / part.length)))
    t.ok(performance.now() - startedAt < 10_000, part)
  }
})
