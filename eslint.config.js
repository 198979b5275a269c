import neostandard from 'neostandard'

// Arrows between the rooms point one way: server → app → routes → plugins → src domain → drizzle.
const only = (...group) => ({
  'no-restricted-imports': [
    'error',
    { patterns: [{ group, message: 'Arrows point down (docs/architecture.md).' }] }
  ]
})

/** What only app, plugins and routes know. The one exception is a list of addresses in Fastify's own spelling. */
const server = ['fastify', 'fastify-plugin', '@fastify/*', '!@fastify/proxy-addr']

/**
 * A comparison that ends at the first difference tells, by its time, how much of a secret was right. Secrets are looked up by their
 * hash, or their hashes are compared by `isSameHash` (src/oauth/state.ts). Whether there is one at all may be asked.
 */
const SECRET =
  '/^(hash(Of)?|digest|hmac|.*(Hash|Digest|[sS]ecret|[pP]assword|[sS]ignature|[aA]piKey|[bB]rowserKey))$/'
const compared =
  "BinaryExpression[operator=/^[!=]==?$/]:not([right.type='Literal']):not([left.type='Literal']):not([left.type='UnaryExpression']):not([right.type='Identifier'][right.name='undefined'])"
const secretsByTime = {
  'no-restricted-syntax': [
    'error',
    ...[
      `Identifier[name=${SECRET}]`,
      `MemberExpression[property.name=${SECRET}]`,
      `CallExpression[callee.name=${SECRET}]`
    ].map((side) => ({
      selector: `${compared} > ${side}`,
      message: 'Hashes of secrets are compared by isSameHash, secrets never.'
    }))
  ]
}

export default [
  ...neostandard({
    ts: true,
    noStyle: true,
    ignores: ['node_modules', '.tap', 'coverage', 'drizzle/*/migrations']
  }),
  // A schema and its type share a name; the compiler itself refuses real redeclarations.
  {
    rules: {
      '@typescript-eslint/no-redeclare': 'off',
      'max-lines': ['error', { max: 620 }]
    }
  },
  {
    files: ['src/*/**'],
    ignores: ['src/store/**', 'src/database/**'],
    rules: only(
      ...server,
      '**/plugins/*',
      '**/routes/**',
      '**/app.ts',
      '**/server.ts',
      '**/drizzle/**'
    )
  },
  {
    files: ['src/store/**', 'src/database/**'],
    rules: only(...server, '**/plugins/*', '**/routes/**', '**/app.ts', '**/server.ts')
  },
  {
    files: ['src/*.ts'],
    ignores: [
      'src/app.ts',
      'src/cli/serve.ts',
      'src/sandbox/server.ts',
      'scripts/in-memory-app.ts'
    ],
    rules: only(...server, '**/plugins/*', '**/routes/**', '**/drizzle/**')
  },
  // What the audit trail, a copied database and the sandbox's searches are compared by are sums of what is there, and no secrets.
  {
    files: ['src/**', 'plugins/**', 'routes/**'],
    ignores: ['src/audit/**', 'src/database/**', 'src/sandbox/**'],
    rules: secretsByTime
  },
  {
    files: ['plugins/**'],
    rules: only('**/routes/**', '**/drizzle/**', '**/app.ts', '**/server.ts')
  },
  {
    files: ['routes/**'],
    rules: only('**/plugins/*', '**/drizzle/**', '**/app.ts', '**/server.ts')
  },
  { files: ['drizzle/**'], rules: only('**/src/**', '**/plugins/*', '**/routes/**') }
]
