import { randomBytes } from 'node:crypto'
import t from 'tap'
import { parseKeyring } from '../../src/vault/keyring.ts'
import { createVault, DecryptionError } from '../../src/vault/vault.ts'

const createKeyEntry = (id: string, key = randomBytes(32)) => `${id}:${key.toString('base64')}`
const createTestVault = (...entries: string[]) => {
  const { keyring } = parseKeyring(entries.join(','))
  if (keyring === undefined) throw new Error('A test key is wrong')
  return createVault(keyring)
}
const K1 = createKeyEntry('k1')
const K2 = createKeyEntry('k2')
const AAD = 'grants/1/access_token'

/** The error message of a failed decryption; it is the same for every cause. */
function getDecryptionError(
  t: { fail: (message: string) => void },
  name: string,
  decrypt: () => string
): string {
  try {
    decrypt()
  } catch (error) {
    if (error instanceof DecryptionError) {
      return `${error.name}: ${error.message} ${String(error.cause)}`
    }
    t.fail(`${name}: another error: ${String(error)}`)
    return ''
  }
  t.fail(`${name}: decrypted`)
  return ''
}

t.test('B3 Decrypts every text that it encrypted', (t) => {
  const vault = createTestVault(K1)
  for (const secret of ['', 'a', 'token-äöü-😀-\0-\n', 'x'.repeat(100_000)]) {
    t.equal(vault.decrypt(vault.encrypt(secret, AAD), AAD), secret)
  }
  t.end()
})

t.test('B2 T09 A record decrypts only in its own row and column', (t) => {
  const vault = createTestVault(K1)
  const record = vault.encrypt('secret', AAD)
  const messages = new Set<string>()
  for (const place of [
    'grants/2/access_token',
    'grants/1/refresh_token',
    'users/1/access_token',
    '',
    'grants/1/access_token ',
    'grants/1/Access_token',
    'grants/11/access_token',
    'grants|1|access_token'
  ]) {
    messages.add(getDecryptionError(t, place, () => vault.decrypt(record, place)))
  }
  t.equal(messages.size, 1, 'the same error for each wrong place')
  const places = Array.from({ length: 1_000 }, (_, i) => `grants/${i}/access_token`)
  const records = places.map((place) => vault.encrypt(`secret ${place}`, place))
  for (const [i, place] of places.entries()) {
    messages.add(
      getDecryptionError(t, `swap ${i}`, () =>
        vault.decrypt(records[(i + 1 + (i % 7)) % 1_000] ?? '', place)
      )
    )
  }
  t.equal(messages.size, 1, 'the same error for 1,000 swapped records')
  t.ok(
    records.every((record, i) => vault.decrypt(record, places[i] ?? '') === `secret ${places[i]}`),
    'each record decrypts in its own place'
  )
  t.end()
})

t.test(
  'B3 T10 Rejects every flipped bit, truncation, short tag, other key and format with one message',
  (t) => {
    const vault = createTestVault(K1, K2)
    const messages = new Set<string>()
    let attempts = 0
    const tryToDecrypt = (name: string, record: string, by = vault) => {
      attempts++
      messages.add(getDecryptionError(t, name, () => by.decrypt(record, AAD)))
    }
    for (let i = 0; i < 20; i++) {
      const record = vault.encrypt(`secret ${i}`, AAD)
      const [format = '', id = '', body = ''] = record.split('.')
      const bytes = Buffer.from(body, 'base64url')
      const encodeRecord = (changed: Buffer) => `${format}.${id}.${changed.toString('base64url')}`
      for (let bit = 0; bit < bytes.length * 8; bit++) {
        const changed = Buffer.from(bytes)
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        tryToDecrypt(`bit ${bit}`, encodeRecord(changed))
      }
      for (let bit = 0; bit < record.length * 8; bit++) {
        const changed = Buffer.from(record)
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        tryToDecrypt(`bit ${bit} of the text`, changed.toString('latin1'))
      }
      for (let length = 0; length < record.length; length++) {
        tryToDecrypt(`cut to ${length}`, record.slice(0, length))
      }
      for (let length = 0; length < bytes.length; length++) {
        tryToDecrypt(`${length} bytes`, encodeRecord(bytes.subarray(0, length)))
      }
      for (let tag = 0; tag < 16; tag++) {
        tryToDecrypt(
          `a tag of ${tag} bytes`,
          encodeRecord(
            Buffer.concat([
              bytes.subarray(0, -16),
              bytes.subarray(bytes.length - 16, bytes.length - 16 + tag)
            ])
          )
        )
      }
      for (const changed of [
        `v1.${id}.${body}`,
        `V1.${id}.${body}`,
        `${format}.k2.${body}`,
        `${format}.k3.${body}`,
        `${format}..${body}`,
        `${record}.`,
        `${record}.x`,
        `${record}=`,
        `${record}==`,
        `${record}\n`,
        ` ${record}`,
        `${record}A`,
        `${format}.__proto__.${body}`,
        `${format}.constructor.${body}`
      ]) {
        tryToDecrypt(changed.slice(0, 12), changed)
      }
      tryToDecrypt('another key of the same id', record, createTestVault(createKeyEntry('k1')))
      tryToDecrypt('only another key', record, createTestVault(K2))
    }
    for (const text of [
      '',
      '.',
      '..',
      'v2',
      'v2.k1',
      'v2.k1.',
      'plain text token',
      'null',
      'v2.k1.AAAA',
      `v1.k1.${'A'.repeat(10_000)}`
    ]) {
      tryToDecrypt(text.slice(0, 20), text)
    }
    t.ok(attempts > 15_000, `${attempts} attempts`)
    t.equal(messages.size, 1, `one message: ${[...messages].join(' / ')}`)
    t.end()
  }
)

t.test('B4 Encrypting the same text 10,000 times yields 10,000 outputs and nonces', (t) => {
  const vault = createTestVault(K1)
  const record = Array.from({ length: 10_000 }, () => vault.encrypt('same', AAD))
  t.equal(new Set(record).size, 10_000)
  t.equal(new Set(record.map((text) => text.split('.')[2]?.slice(0, 16))).size, 10_000)
  t.end()
})

t.test('B5 The first key encrypts, all keys decrypt, and a removed key decrypts nothing', (t) => {
  const old = createTestVault(K1).encrypt('secret', AAD)
  const both = createTestVault(K2, K1)
  t.equal(both.decrypt(old, AAD), 'secret')
  t.match(both.encrypt('secret', AAD), /^v2\.k2\./)
  t.equal(createTestVault(K2).decrypt(both.encrypt('secret', AAD), AAD), 'secret')
  t.throws(() => createTestVault(K2).decrypt(old, AAD), DecryptionError)
  t.end()
})
