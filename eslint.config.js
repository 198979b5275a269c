import neostandard from 'neostandard'

// Arrows between the rooms point one way: server → app → routes → plugins → src domain → drizzle.
const only = (...group) => ({
  'no-restricted-imports': ['error', { patterns: [{ group, message: 'Arrows point down (docs/architecture.md).' }] }]
})

export default [
  ...neostandard({ ts: true, ignores: ['node_modules', '.tap', 'coverage', 'drizzle/*/migrations'] }),
  // A schema and its type share a name; the compiler itself refuses real redeclarations.
  { rules: { '@typescript-eslint/no-redeclare': 'off', 'max-lines': ['error', { max: 250, skipBlankLines: true, skipComments: true }] } },
  { files: ['src/*/**'], rules: only('fastify', 'fastify-plugin', '@fastify/*', '!@fastify/proxy-addr', '**/plugins/*', '**/routes/**', '**/app.ts', '**/server.ts') },
  { files: ['src/*.ts'], ignores: ['src/app.ts', 'src/server.ts', 'src/sandbox.ts'], rules: only('fastify-plugin', '@fastify/autoload', '**/plugins/*', '**/routes/**') },
  { files: ['plugins/**'], rules: only('**/routes/**', '**/app.ts', '**/server.ts') },
  { files: ['routes/**'], rules: only('**/plugins/*', '**/drizzle/**', '**/app.ts', '**/server.ts') },
  { files: ['drizzle/**'], rules: only('**/src/**', '**/plugins/*', '**/routes/**') }
]
