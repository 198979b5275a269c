import t from 'tap'
import { buildTestApp } from '../helper.ts'
import { resolveNextPage } from '../network.ts'
import { createCaller, followPages, assertProblem, getItems } from './helper.ts'

const LIST_PATHS = [
  '/users',
  '/jira/projects/1',
  '/confluence/pages/1',
  '/integrations/jira/projects/fetch',
  '/integrations/confluence/pages/fetch'
]
const ITEM_COUNT = 23
const MAX_CURSOR_LENGTH = 12_288

t.test('Lists are paginated', async (t) => {
  const { app } = await buildTestApp(t)
  const { post, get } = createCaller(app)
  for (let i = 0; i < ITEM_COUNT; i++) {
    await post('/users', { email: `u${i}@example.com` })
    await post('/jira/projects', { owner_id: 1, key: `K${i}`, name: 'N' })
    // Equal titles: only the id orders the pages.
    await post('/confluence/pages', {
      owner_id: 1,
      space_key: 'S',
      page_id: `${i}`,
      title: i % 2 === 0 ? 'Same' : 'Title 😀'
    })
  }

  t.test('following Link to the end returns every item once, in list order', async (t) => {
    for (const list of LIST_PATHS) {
      const whole = getItems((await get(list)).json())
      t.equal(whole.length, ITEM_COUNT, `${list} is complete without a limit`)
      for (const limit of [1, 2, 5, ITEM_COUNT - 1, ITEM_COUNT, ITEM_COUNT + 1, 1000]) {
        const { pages } = await followPages(app, `${list}?limit=${limit}`, getItems)
        t.same(pages.flat(), whole, `${list} in pages of ${limit}`)
        t.equal(pages.length, Math.ceil(ITEM_COUNT / limit), 'no empty page at the end')
        t.ok(pages.every((page, i) => i === pages.length - 1 || page.length === limit))
      }
    }
  })

  t.test('the link keeps the prefix and the other parameters of the request', async (t) => {
    const { links, pages } = await followPages(
      app,
      '/api/integrations/jira/projects/fetch?owner_id=1&limit=9',
      getItems
    )
    t.equal(pages.flat().length, ITEM_COUNT)
    for (const link of links) {
      t.match(
        link,
        /^\/api\/integrations\/jira\/projects\/fetch\?owner_id=1&limit=9&cursor=[\w-]+$/
      )
    }
    t.match((await get('/users?limit=5')).headers.link, /^<\?limit=5&cursor=[\w-]+>; rel="next"$/)
    t.equal((await get('/users')).headers.link, undefined, 'no link after the last page')
  })

  t.test('an item inserted before the cursor repeats no other item', async (t) => {
    const first = await get('/jira/projects/1?limit=3')
    await post('/jira/projects', { owner_id: 1, key: '0-first', name: 'N' })
    const { pages } = await followPages(
      app,
      resolveNextPage('/jira/projects/1?limit=3', first.headers.link) ?? ''
    )
    const keys = [...first.json(), ...pages.flat()].map(({ key }: { key: string }) => key)
    t.equal(new Set(keys).size, keys.length)
    t.equal(keys.length, ITEM_COUNT)
  })

  t.test('titles of the maximum length do not break the cursor', async (t) => {
    const { app } = await buildTestApp(t)
    await app.inject({ method: 'POST', url: '/users', payload: { email: 'ada@example.com' } })
    const titles = ['\u0001', '"', '\\', '😀'.slice(0, 2), '漢', 'x'].map((text) =>
      text.repeat(1024 / text.length)
    )
    for (const [i, title] of titles.entries()) {
      t.equal(
        (
          await createCaller(app).post('/confluence/pages', {
            owner_id: 1,
            space_key: 'S',
            page_id: `${i}`,
            title
          })
        ).statusCode,
        201
      )
    }
    t.equal((await followPages(app, '/confluence/pages/1?limit=1')).pages.length, titles.length)
  })

  t.test('a limit is a whole number from 1 to 1000', async (t) => {
    for (const list of LIST_PATHS) {
      for (const limit of [
        '0',
        '1001',
        'abc',
        '',
        '-1',
        '1.5',
        '1e9',
        'NaN',
        '0x10',
        'true',
        'null',
        '%201',
        '1;2',
        '99999999999999999999',
        '+5',
        '1e2',
        '05',
        '1.0',
        '%EF%BC%95'
      ]) {
        t.match(
          assertProblem(
            t,
            await get(`${list}?limit=${limit}`),
            422,
            'validation_failed',
            `${list}?limit=${limit}`
          ).errors?.[0],
          { pointer: '/limit' }
        )
      }
      for (const limit of ['1', '1000']) {
        t.equal((await get(`${list}?limit=${limit}`)).statusCode, 200)
      }
    }
  })

  t.test('a cursor of another origin is 400 invalid_cursor', async (t) => {
    const wrong = [
      '',
      'x',
      '%00',
      '%F0%9F%98%80',
      'bnVsbA',
      'W10',
      'e30',
      'WyIiXQ',
      'WzFd.',
      'A'.repeat(MAX_CURSOR_LENGTH),
      ...[
        [null],
        ['a'],
        [1.5],
        [1, 2, 3],
        [{}],
        [[1]],
        ['a', 'b'],
        ['a', 1.5],
        ['a', 1, 2],
        [1, 'a'],
        [9007199254740992],
        ['a', 9007199254740992],
        ['a', null],
        true,
        'a',
        1,
        { length: 1 }
      ].map((value) => Buffer.from(JSON.stringify(value)).toString('base64url'))
    ]
    for (const list of LIST_PATHS) {
      for (const cursor of wrong) {
        assertProblem(
          t,
          await get(`${list}?cursor=${cursor}`),
          400,
          'invalid_cursor',
          `${list}?cursor=${cursor.slice(0, 20)}`
        )
      }
      t.match(
        assertProblem(
          t,
          await get(`${list}?cursor=${'A'.repeat(MAX_CURSOR_LENGTH + 1)}`),
          422,
          'validation_failed'
        ).errors?.[0],
        { pointer: '/cursor' }
      )
    }
    const cursor = async (list: string) =>
      /cursor=([\w-]+)/.exec((await get(`${list}?limit=2`)).headers.link as string)?.[1] ?? ''
    assertProblem(
      t,
      await get(`/users?cursor=${await cursor('/jira/projects/1')}`),
      400,
      'invalid_cursor',
      'of another list'
    )
    assertProblem(
      t,
      await get(`/jira/projects/1?cursor=${await cursor('/users')}`),
      400,
      'invalid_cursor',
      'of another list'
    )
    const whole = await cursor('/jira/projects/1')
    for (let cut = 1; cut < whole.length - 1; cut++) {
      assertProblem(
        t,
        await get(`/jira/projects/1?cursor=${whole.slice(0, cut)}`),
        400,
        'invalid_cursor',
        `cut to ${cut} characters`
      )
    }
  })
})
