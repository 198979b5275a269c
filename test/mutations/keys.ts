import type { Mutation } from './mutation.ts'

/** What keeps a rotation of the vault keys from harming a connection. */
export const KEY_MUTATIONS: readonly Mutation[] = [
  {
    name: 'A grant whose key this instance lacks counts as damaged',
    file: 'src/grants/decrypt.ts',
    find: '.some((row) => row.id === id)) throw createMissingKeyError',
    replace: '.some(() => false)) throw createMissingKeyError',
    test: 'test/vault/lost-key.long.ts'
  },
  {
    name: 'A key is promoted although a live instance lacks it',
    file: 'src/store/repositories/vault-keys.ts',
    find: '          ? isReadableByAll(id)\n',
    replace: '          ? sql`1 = 1`\n',
    test: 'test/store/sqlite.long.ts'
  },
  {
    name: 'Grants that can be decrypted again stay marked',
    file: 'src/grants/heal-undecryptable.ts',
    find: '(row) => tryDecrypt(() => decryptTokens(vault, row)) !== undefined',
    replace: '(row) => row.id === undefined',
    test: 'test/vault/lost-key.long.ts'
  },
  {
    name: 'An instance that lacks a key is ready',
    file: 'routes/health/index.ts',
    find: '          vault_key: describeVaultKey(),\n',
    replace: "          vault_key: describeVaultKey().replace(/missing.*/, 'ok'),\n",
    test: 'test/vault/lost-key.long.ts'
  }
]
