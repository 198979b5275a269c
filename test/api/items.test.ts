import t, { type Test } from 'tap'
import { buildTestApp } from '../helper.ts'
import { createCaller, assertProblem } from './helper.ts'

/** What both products have in common, to run each test on both. */
const ITEM_KINDS = [
  {
    path: '/jira/projects',
    body: {
      owner_id: 1,
      key: 'PAY',
      name: 'Payments',
      lead: 'Dana Fox',
      url: 'https://acme.atlassian.net/browse/PAY'
    },
    row: ['id', 'owner_id', 'key', 'name', 'lead', 'url', 'source', 'site', 'updated_at'],
    copied: { source: 'manual', site: null },
    optional: ['lead', 'url'],
    another: { key: 'OPS' },
    retitled: { name: 'New name' },
    sorted: 'key'
  },
  {
    path: '/confluence/pages',
    body: {
      owner_id: 1,
      space_key: 'ENG',
      page_id: '302737',
      title: 'Runbook',
      url: 'http://wiki.example.com:8090/x?y=1#z'
    },
    row: [
      'id',
      'owner_id',
      'space_key',
      'page_id',
      'title',
      'status',
      'url',
      'source',
      'site',
      'updated_at'
    ],
    copied: { status: null, source: 'manual', site: null },
    optional: ['url'],
    another: { page_id: '302738' },
    retitled: { title: 'New title' },
    sorted: 'title'
  }
] as const

/** Sorted by code point. UTF-16 and locale order differ for some of these texts. */
const ORDERED_TEXTS = [
  ' ',
  '!',
  '0',
  '10',
  '2',
  'A',
  'AB',
  'Aa',
  'B',
  'Z',
  '_',
  'a',
  'aB',
  'aa',
  'b',
  'e',
  'ee',
  'e\u0301',
  'z',
  '\u00e9',
  '\u0130',
  '\u0131',
  '\u4e2d',
  '\uac00',
  '\ue000',
  '\uff21',
  '\uffff',
  '\u{10000}',
  '\u{1f600}',
  '\u{1f600}\u{1f3fd}',
  '\u{10ffff}'
]

const START_MS = Date.UTC(2026, 10, 23, 12)

for (const { path, body, row, copied, optional, another, retitled, sorted } of ITEM_KINDS) {
  const createApp = async (t: Test) => {
    let clock = START_MS
    const built = await buildTestApp(t, {}, () => clock)
    const { post, get } = createCaller(built.app)
    await post('/users', { email: 'ada@example.com' })
    await post('/users', { email: 'bob@example.com' })
    /** The complete item in a response, posted now. */
    const toServedItem = (item: object) => ({
      id: 1,
      ...copied,
      ...item,
      updated_at: new Date(clock).toISOString()
    })
    return {
      ...built,
      post,
      get,
      served: toServedItem,
      advanceTime: (ms: number) => {
        clock += ms
      }
    }
  }

  t.test(`POST and GET ${path}`, async (t) => {
    t.test(
      'a new item returns 201; the same key again returns 200 and replaces it, and the list has one',
      async (t) => {
        const { post, get, served, advanceTime } = await createApp(t)
        const made = await post(path, body)
        t.equal(made.statusCode, 201)
        t.same(made.json(), served(body))
        t.same(Object.keys(made.json()), row)
        advanceTime(1_000)
        const again = await post(path, { ...body, ...retitled })
        t.equal(again.statusCode, 200)
        t.same(again.json(), served({ ...body, ...retitled }), 'includes when it was last posted')
        t.same((await get(`${path}/1`)).json(), [again.json()])
        t.equal((await post(path, { ...body, ...another })).statusCode, 201)
        t.equal((await get(`${path}/1`)).json().length, 2)
      }
    )

    t.test('an upsert replaces the whole item: a missing field becomes null', async (t) => {
      const { post, get, served } = await createApp(t)
      await post(path, body)
      const bare = Object.fromEntries(
        Object.entries(body).filter(([name]) => !(optional as readonly string[]).includes(name))
      )
      const nulls = Object.fromEntries(optional.map((name) => [name, null]))
      t.same((await post(path, bare)).json(), served({ ...bare, ...nulls }))
      await post(path, body)
      t.same((await post(path, { ...bare, ...nulls })).json(), served({ ...bare, ...nulls }))
      t.same((await get(`${path}/1`)).json(), [served({ ...bare, ...nulls })])
    })

    t.test(
      'items belong to their owner; an unknown owner returns 404 and stores nothing',
      async (t) => {
        const { app, post, get } = await createApp(t)
        await post(path, body)
        t.equal(
          (await post(path, { ...body, owner_id: 2 })).statusCode,
          201,
          'the same key of another owner is a separate item'
        )
        t.same(
          (await get(`${path}/1`)).json().map((item: any) => item.owner_id),
          [1]
        )
        t.same(
          (await get(`${path}/2`)).json().map((item: any) => item.owner_id),
          [2]
        )
        assertProblem(t, await post(path, { ...body, owner_id: 3 }), 404, 'user_not_found')
        assertProblem(t, await get(`${path}/3`), 404, 'user_not_found')
        await post('/users', { email: 'cleo@example.com' })
        t.same((await get(`${path}/3`)).json(), [], 'no orphan was stored for the third user')
        t.same((await app.inject(`/integrations${path}/fetch?owner_id=3`)).json().items, [])
      }
    )

    t.test('lists sort by code point on every engine', async (t) => {
      const { post, get } = await createApp(t)
      const shuffled = ORDERED_TEXTS.toSorted((a, b) =>
        Buffer.from(a).toString('hex').split('').reverse().join('') <
        Buffer.from(b).toString('hex').split('').reverse().join('')
          ? -1
          : 1
      )
      for (const [i, text] of shuffled.entries()) {
        t.equal(
          (
            await post(path, {
              ...body,
              ...(sorted === 'title' ? { page_id: String(i) } : {}),
              [sorted]: text
            })
          ).statusCode,
          201
        )
      }
      t.same(
        (await get(`${path}/1`)).json().map((item: any) => item[sorted]),
        ORDERED_TEXTS
      )
    })

    t.test(
      'keys compare exactly: case, width and Unicode composition make separate items',
      async (t) => {
        const { post, get } = await createApp(t)
        const name = sorted === 'key' ? 'key' : 'page_id'
        const keys = ['a', 'A', 'ａ', 'a ', '\u00e9', 'e\u0301', '1', '01', '1.0']
        for (const key of keys) {
          t.equal((await post(path, { ...body, [name]: key })).statusCode, 201, JSON.stringify(key))
        }
        t.equal((await get(`${path}/1`)).json().length, keys.length)
      }
    )

    t.test('a link is an absolute http or https URL without credentials', async (t) => {
      const { post } = await createApp(t)
      const bad = [
        'javascript:alert(1)',
        'JAVASCRIPT:alert(1)',
        'data:text/html,x',
        'ftp://example.com/',
        'file:///etc/passwd',
        '//example.com',
        '/path',
        'example.com',
        'https:',
        'https://',
        'http:///x',
        'https://user@example.com/',
        'https://user:pass@example.com/',
        'https://exa mple.com/',
        'https://example.com/a b',
        'https:\\\\example.com',
        'https://example.com\\@evil.example/',
        ' https://example.com/',
        'https://example.com/\n',
        'java\tscript:alert(1)',
        'https://[::1',
        'https://example.com:99999/',
        '',
        `https://example.com/${'x'.repeat(2048)}`,
        'https://ex\u0000ample.com/'
      ]
      for (const url of bad) {
        t.match(
          assertProblem(
            t,
            await post(path, { ...body, url }),
            422,
            'validation_failed',
            JSON.stringify(url).slice(0, 60)
          ).errors?.[0],
          { pointer: '/url' }
        )
      }
      for (const url of [
        'http://localhost:8080',
        'https://example.com/ä',
        'HTTPS://EXAMPLE.COM/',
        'https://[::1]:3000/x',
        'https://xn--bcher-kva.example/?q=1&r=%20#frag',
        `https://example.com/${'x'.repeat(2028)}`
      ]) {
        t.equal((await post(path, { ...body, url })).json().url, url, 'stored as given')
      }
    })
  })
}

t.test('Two pages whose space and id concatenate to the same text are two pages', async (t) => {
  const { app } = await buildTestApp(t)
  const { post, get } = createCaller(app)
  await post('/users', { email: 'ada@example.com' })
  for (const [spaceKey, pageId] of [
    ['AB', 'C'],
    ['A', 'BC'],
    ['A"', ',"B'],
    ['A', '","B'],
    ['["A', 'B"]']
  ]) {
    t.equal(
      (
        await post('/confluence/pages', {
          owner_id: 1,
          space_key: spaceKey,
          page_id: pageId,
          title: 'T'
        })
      ).statusCode,
      201
    )
  }
  t.equal((await get('/confluence/pages/1')).json().length, 5)
})
