import neostandard from 'neostandard'

/**
 * The time of a comparison that ends at the first difference reveals how much of a secret is right.
 * Secrets are looked up by hash, or their hashes are compared by `equalHashes`. Comparing with
 * undefined and literals is allowed.
 */
const SECRET =
  '/^(hash(Of)?|sha256|digest|hmac|' +
  '.*(Hash|Digest|[sS]ecret|[pP]assword|[sS]ignature|[aA]piKey|[bB]rowserKey))$/'
const compared =
  "BinaryExpression[operator=/^[!=]==?$/]:not([right.type='Literal']):not([left.type='Literal'])" +
  ":not([left.type='UnaryExpression']):not([right.type='Identifier'][right.name='undefined'])"
const secretsByTime = {
  'no-restricted-syntax': [
    'error',
    ...[
      `Identifier[name=${SECRET}]`,
      `MemberExpression[property.name=${SECRET}]`,
      `CallExpression[callee.name=${SECRET}]`
    ].map((side) => ({
      selector: `${compared} > ${side}`,
      message: 'Compare hashes of secrets with equalHashes; never compare secrets.'
    }))
  ]
}

export default [
  ...neostandard({
    ts: true,
    noStyle: true,
    ignores: ['node_modules', 'dist', '.tap', 'coverage', 'drizzle/*/migrations']
  }),
  // A schema and its type share a name; the compiler itself refuses real redeclarations.
  {
    rules: {
      '@typescript-eslint/no-redeclare': 'off',
      'max-len': ['error', { code: 110 }],
      'max-lines': ['error', { max: 300 }]
    }
  },
  { files: ['test/**'], rules: { 'max-lines': ['error', { max: 620 }] } },
  // The audit chain, database copies and the sandbox's searches compare checksums, not secrets.
  {
    files: ['src/**', 'plugins/**', 'routes/**'],
    ignores: ['src/store/audit-*', 'src/store/admin/**', 'src/sandbox/**'],
    rules: secretsByTime
  }
]
