import { existsSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import t from 'tap'
import { FOLDER, listPages, readBlocks, readPage } from './commands.ts'
import { FOLLOWED_PAGES } from './followed-pages.ts'

t.test('Each page that has commands is followed by a test', async (t) => {
  const pages = listPages().filter((page) => readBlocks(page).length > 0)
  t.same(pages.sort(), [...FOLLOWED_PAGES].sort())
})

t.test('Each page is in the list of tasks', async (t) => {
  const index = readPage('README.md')
  for (const page of listPages().filter((name) => name !== 'README.md')) {
    t.ok(index.includes(`(${page})`), page)
  }
})

t.test('Each link to another page leads to one', async (t) => {
  for (const page of listPages()) {
    for (const [, target = ''] of readPage(page).matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)) {
      const path = normalize(join(FOLDER, dirname(page), target))
      t.ok(existsSync(path), `${page}: ${target}`)
    }
  }
})
