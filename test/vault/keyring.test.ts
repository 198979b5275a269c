import { randomBytes } from 'node:crypto'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import {
  loadOrCreateDevelopmentKey,
  generateKeyEntry,
  parseKeyring
} from '../../src/vault/keyring.ts'

const validKey = 'NuBFHSkpr5J3QSyL3++hUSwzXcSLtdAd2pnMTNV8yE8='
const otherKey = randomBytes(32).toString('base64')

const INVALID_KEYRINGS: Array<[name: string, text: string, problem: RegExp]> = [
  ['empty', '', /^holds no key$/],
  ['blank', ' \n, ,', /^holds no key$/],
  ['no id', validKey, /^entry 1 needs an id/],
  ['an empty id', `:${validKey}`, /^entry 1 needs an id/],
  ['a space in the id', `a b:${validKey}`, /^entry 1 needs an id/],
  ['a dot in the id', `a.b:${validKey}`, /^entry 1 needs an id/],
  ['a long id', `${'a'.repeat(33)}:${validKey}`, /^entry 1 needs an id/],
  ['no key', 'k1:', /^entry 1 must decode to 32 bytes/],
  ['31 bytes', `k1:${randomBytes(31).toString('base64')}`, /^entry 1 must decode to 32 bytes/],
  ['33 bytes', `k1:${randomBytes(33).toString('base64')}`, /^entry 1 must decode to 32 bytes/],
  ['16 bytes', `k1:${randomBytes(16).toString('base64')}`, /^entry 1 must decode/],
  ['64 bytes', `k1:${randomBytes(64).toString('base64')}`, /^entry 1 must decode/],
  ['all zero', `k1:${Buffer.alloc(32).toString('base64')}`, /^entry 1 is not random/],
  [
    'a counting sequence',
    'k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=',
    /^entry 1 is not random/
  ],
  ['one byte repeated', `k1:${Buffer.alloc(32, 'a').toString('base64')}`, /^entry 1 is not random/],
  ['base64url', `k1:${'_-'.repeat(21)}8=`, /^entry 1 is not base64/],
  ['bits beyond the end', `k1:${validKey.replace('8=', '9=')}`, /^entry 1 is not base64/],
  [
    'a stray character',
    `k1:${validKey.slice(0, 10)}!${validKey.slice(10)}`,
    /^entry 1 is not base64/
  ],
  ['a space inside', `k1:${validKey.slice(0, 10)} ${validKey.slice(10)}`, /^entry 1 is not base64/],
  ['hex', `k1:${randomBytes(32).toString('hex')}`, /^entry 1 /],
  ['words', 'k1:correct horse battery staple', /^entry 1 is not base64/],
  ['a quoted value', `"k1:${validKey}"`, /^entry 1 /],
  [
    'the second is wrong',
    `k1:${validKey},k2:${randomBytes(8).toString('base64')}`,
    /^entry 2 must decode/
  ],
  ['an id twice', `k1:${validKey},k1:${otherKey}`, /^entry 2 repeats the id/],
  ['a placeholder', 'k1:CHANGE_ME', /^entry 1 /],
  ['another separator', `k1=${validKey}`, /^entry 1 needs an id/],
  ['a semicolon between keys', `k1:${validKey};k2:${otherKey}`, /^entry 1 /]
]

t.test(
  'B8 A4 T41 Rejects a key that is not 32 random bytes in plain base64, and names the entry, not its value',
  (t) => {
    for (const [name, text, problem] of INVALID_KEYRINGS) {
      const { keyring, problems = [] } = parseKeyring(text)
      t.equal(keyring, undefined, name)
      t.match(problems, [problem], name)
      for (const part of text.split(/[:,;=\s"]+/).filter((each) => each.length > 7)) {
        t.notOk(problems.join().includes(part), `${name}: the error omits the value`)
      }
    }
    t.same(
      parseKeyring(`x,k2:${validKey},y:,:z`).problems?.map((problem) => problem.slice(0, 7)),
      ['entry 1', 'entry 3', 'entry 4'],
      'all problems in one error'
    )
    t.end()
  }
)

t.test('B8 Accepts keys separated by commas or lines, with or without padding', (t) => {
  for (const text of [
    `k1:${validKey}`,
    `k1:${validKey.replace('=', '')}`,
    ` k1:${validKey} , k2:${otherKey} `,
    `k1:${validKey}\nk2:${otherKey}\n`,
    `k1:${validKey}\r\n`
  ]) {
    const { keyring } = parseKeyring(text)
    t.equal(keyring?.current.id, 'k1', JSON.stringify(text.slice(0, 5)))
    t.equal(keyring?.find('k1')?.toString('base64'), validKey)
    t.equal(keyring?.find('nobody'), undefined)
    t.equal(keyring?.find('__proto__'), undefined)
  }
  t.end()
})

t.test('B8 Development generates one key, readable by its owner only and ignored by git', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'connector-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, '.vault-keys.dev')
  const first = loadOrCreateDevelopmentKey(path)
  t.equal(first.isNew, true)
  t.equal(statSync(path).mode & 0o777, 0o600)
  const again = loadOrCreateDevelopmentKey(path)
  t.equal(again.isNew, false, 'made once')
  t.equal(again.text.trim(), first.text.trim())
  t.equal(readFileSync(path, 'utf8').trim(), first.text.trim())
  t.ok(parseKeyring(again.text).keyring)
  t.not(generateKeyEntry('dev'), generateKeyEntry('dev'), 'a new key each time')
  t.throws(
    () => loadOrCreateDevelopmentKey(join(folder, 'missing', 'key')),
    'a missing directory is an error'
  )
  const root = new URL('../../', import.meta.url)
  if (existsSync(new URL('.git', root))) {
    t.equal(
      execFileSync('git', ['check-ignore', '.vault-keys.dev'], {
        cwd: root,
        encoding: 'utf8'
      }).trim(),
      '.vault-keys.dev'
    )
  }
  t.match(readFileSync(new URL('.gitignore', root), 'utf8'), /^\.vault-keys\.dev$/m)
  t.end()
})
