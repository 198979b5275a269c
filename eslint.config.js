import neostandard from 'neostandard'

// Arrows between the rooms point one way: server → app → routes → plugins → src domain → drizzle.
const only = (...group) => ({
  'no-restricted-imports': ['error', { patterns: [{ group, message: 'Arrows point down (docs/architecture.md).' }] }]
})

/** What only app, plugins and routes know. The one exception is a list of addresses in Fastify's own spelling. */
const server = ['fastify', 'fastify-plugin', '@fastify/*', '!@fastify/proxy-addr']

export default [
  ...neostandard({ ts: true, ignores: ['node_modules', '.tap', 'coverage', 'drizzle/*/migrations'] }),
  // A schema and its type share a name; the compiler itself refuses real redeclarations.
  { rules: { '@typescript-eslint/no-redeclare': 'off', 'max-lines': ['error', { max: 250, skipBlankLines: true, skipComments: true }] } },
  { files: ['src/*/**'], ignores: ['src/store/**', 'src/database/**'], rules: only(...server, '**/plugins/*', '**/routes/**', '**/app.ts', '**/server.ts', '**/drizzle/**') },
  { files: ['src/store/**', 'src/database/**'], rules: only(...server, '**/plugins/*', '**/routes/**', '**/app.ts', '**/server.ts') },
  { files: ['src/*.ts'], ignores: ['src/app.ts', 'src/server.ts', 'src/sandbox.ts', 'src/rehearsal.ts'], rules: only(...server, '**/plugins/*', '**/routes/**', '**/drizzle/**') },
  { files: ['plugins/**'], rules: only('**/routes/**', '**/drizzle/**', '**/app.ts', '**/server.ts') },
  { files: ['routes/**'], rules: only('**/plugins/*', '**/drizzle/**', '**/app.ts', '**/server.ts') },
  { files: ['drizzle/**'], rules: only('**/src/**', '**/plugins/*', '**/routes/**') }
]
