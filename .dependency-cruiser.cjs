/**
 * The arrows between folders, types included (docs/architecture.md). Each folder may import from
 * itself and from the layers below its own; two folders of one layer do not import each other.
 */
const LAYERS = [
  ['bin'],
  ['src/main', 'scripts'],
  ['src/cli'],
  ['src/app'],
  ['plugins', 'routes'],
  ['src/sync', 'src/personal-data'],
  ['src/connections'],
  ['src/grants'],
  ['src/oauth'],
  ['src/http'],
  ['src/config'],
  ['src/access', 'src/audit', 'src/instances', 'src/rate-budget'],
  ['src/store', 'src/vault'],
  ['src/providers'],
  ['src/model'],
  ['src/lib'],
  ['drizzle']
]

/** @param {string[]} folders */
const under = (folders) => `^(${folders.map((folder) => `${folder}(/|\\.)`).join('|')})`

const upward = LAYERS.flatMap((layer, i) =>
  layer.map((folder) => ({
    name: `${folder.replace('src/', '')}-imports-only-below`,
    severity: 'error',
    from: { path: under([folder]) },
    to: {
      path: under(
        LAYERS.slice(0, i + 1)
          .flat()
          .filter((other) => other !== folder)
      )
    }
  }))
)

module.exports = {
  forbidden: [
    { name: 'no-circle', severity: 'error', from: {}, to: { circular: true } },
    ...upward,
    {
      name: 'fastify-only-at-the-edge',
      comment: 'The domain takes plain arguments and returns plain values.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(app|sandbox/|cli/|http/)' },
      to: { path: 'node_modules/(fastify|fastify-plugin|@fastify)/', pathNot: 'proxy-addr' }
    },
    {
      name: 'routes-reach-plugins-through-decorators',
      severity: 'error',
      from: { path: '^routes/' },
      to: { path: '^plugins/' }
    },
    {
      name: 'plugins-know-no-routes',
      severity: 'error',
      from: { path: '^plugins/' },
      to: { path: '^routes/' }
    },
    {
      name: 'tables-belong-to-the-store',
      severity: 'error',
      from: { path: '^(src|plugins|routes)/', pathNot: '^src/(store|model)/' },
      to: { path: '^drizzle/' }
    },
    {
      name: 'the-sandbox-is-a-program-of-its-own',
      severity: 'error',
      from: { path: '^src/sandbox/' },
      to: { path: '^(src|plugins|routes|drizzle|scripts)/', pathNot: '^src/sandbox/' }
    },
    {
      name: 'only-its-mounts-import-the-sandbox',
      severity: 'error',
      from: {
        path: '^(src|plugins|routes|scripts)/',
        pathNot:
          '^(src/sandbox/|src/cli/sandbox\\.ts|plugins/sandbox\\.ts|routes/sandbox/index\\.ts)'
      },
      to: { path: '^src/sandbox/' }
    },
    {
      name: 'no-tests-in-production',
      severity: 'error',
      from: { path: '^(src|plugins|routes|drizzle|scripts)/' },
      to: { path: '^(test|bench|attacks)/' }
    }
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(node_modules|\\.tap|coverage|dist)/' },
    enhancedResolveOptions: { extensions: ['.ts', '.js'] }
  }
}
