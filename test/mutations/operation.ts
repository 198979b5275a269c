import type { Mutation } from './mutation.ts'

/** Defences of starts and stops, of logs, of secrets and of the packages. */
export const OPERATION_MUTATIONS: readonly Mutation[] = [
  {
    name: 'Requests with both a length and chunks are accepted',
    file: 'src/app.ts',
    find: '      requireHostHeader: false\n',
    replace: '      requireHostHeader: false,\n      insecureHTTPParser: true\n',
    test: 'test/api/raw.test.ts',
    proves: ['T15']
  },
  {
    name: 'Unused consents of one day are refreshed on one day',
    file: 'src/grants/refresh-policy.ts',
    find: 'MIN_KEEP_ALIVE_MS + Math.random() * KEEP_ALIVE_JITTER_MS',
    replace: 'MIN_KEEP_ALIVE_MS + KEEP_ALIVE_JITTER_MS / 2',
    test: 'test/grants/clocks.long.ts',
    proves: ['T36']
  },
  {
    name: 'Compiled code is kept in the temporary folder of all users',
    file: 'src/lib/source-loader.js',
    find: '  module.enableCompileCache(COMPILE_CACHE)',
    replace: '  module.enableCompileCache()',
    test: 'test/process/machine.test.ts',
    proves: ['T40']
  },
  {
    name: 'Continuous integration installs other versions than the lockfile',
    file: '.ci/run',
    find: '\nnpm ci\n',
    replace: '\nnpm install\n',
    test: 'test/repo/supply-chain.test.ts',
    proves: ['T40', 'E9']
  },
  {
    name: 'A production package may run an install script',
    file: 'package.json',
    find: '"better-sqlite3": false',
    replace: '"better-sqlite3": true',
    test: 'test/repo/supply-chain.test.ts',
    proves: ['T40', 'E9']
  },
  {
    name: 'A bootstrap key may be a placeholder',
    file: 'src/config/formats.ts',
    find: '    !PLACEHOLDER_WORDS.test(value)\n',
    replace: '    PLACEHOLDER_WORDS.source.length > 0\n',
    test: 'test/access/weak-credentials.test.ts',
    proves: ['T41']
  },
  {
    name: 'A bootstrap key may repeat itself',
    file: 'src/config/formats.ts',
    find: '    !/^(.{1,100}?)\\1+$/.test(secret) &&\n',
    replace: '',
    test: 'test/access/weak-credentials.test.ts',
    proves: ['T41']
  },
  {
    name: 'A vault key need not be random',
    file: 'src/vault/keyring.ts',
    find: "  if (isLowEntropy(key)) return 'is not random'\n",
    replace: '',
    test: 'test/vault/keyring.test.ts',
    proves: ['T41']
  },
  {
    name: 'Damaged base64 of a vault key becomes another key',
    file: 'src/vault/keyring.ts',
    find: "    return 'is not base64'\n",
    replace: "    if (encoded === '') return 'is not base64'\n",
    test: 'test/vault/keyring.test.ts',
    proves: ['T41']
  },
  {
    name: 'A service that is asked to stop still reports ready',
    file: 'plugins/graceful-shutdown.ts',
    find: '      isDraining = true\n',
    replace: '',
    test: 'test/process/restart.long.ts',
    proves: ['E1']
  },
  {
    name: 'A second SIGTERM cuts the open requests',
    file: 'src/cli/stop-signals.ts',
    find: '  SIGTERM: { endsAt: 3,',
    replace: '  SIGTERM: { endsAt: 2,',
    test: 'test/process/signals.long.ts'
  },
  {
    name: 'Of several wrong settings one is reported',
    file: 'src/config/load.ts',
    find: 'createConfigError([...allProblems, ...typos])',
    replace: 'createConfigError([...allProblems].slice(0, 1))',
    test: 'test/config/startup.test.ts',
    proves: ['E2']
  },
  {
    name: 'The development key is readable by every user',
    file: 'src/vault/keyring.ts',
    find: "{ flag: 'wx', mode: 0o600 }",
    replace: "{ flag: 'wx', mode: 0o644 }",
    test: 'test/vault/keyring.test.ts'
  },
  {
    name: 'Connections without traffic stay open',
    file: 'src/app.ts',
    find: '    connectionTimeout: 2 * MINUTE_MS,\n',
    replace: '',
    test: 'test/api/health.test.ts',
    proves: ['E3']
  },
  {
    name: 'A handler may run for ever',
    file: 'plugins/time-limit.ts',
    find: '        if (!hasClosed) end(reply)\n',
    replace: '',
    test: 'test/limits/time-limit.test.ts',
    proves: ['E3']
  },
  {
    name: 'A request may take for ever to arrive',
    file: 'src/app.ts',
    find: '    requestTimeout: REQUEST_TIMEOUT_MS,\n',
    replace: '    requestTimeout: 0,\n',
    test: 'test/api/health.test.ts',
    proves: ['E3']
  },
  {
    name: 'A request gets another id than its caller sent',
    file: 'src/app.ts',
    find: "parseRequestId(headers['x-request-id']) ?? randomUUID()",
    replace: "parseRequestId(headers['x-correlation-id']) ?? randomUUID()",
    test: 'test/api/request-id.test.ts',
    proves: ['E6']
  },
  {
    name: 'Calls to Atlassian have no request id',
    file: 'plugins/http-client.ts',
    find: '        getRequestId: () => getCurrentActor().requestId,\n',
    replace: '',
    test: 'test/audit/request-id.test.ts',
    proves: ['E6']
  },
  {
    name: 'A log line has any number of bytes',
    file: 'src/lib/logger.ts',
    find: 'const MAX_LINE_BYTES = 16 * 1024\n',
    replace: 'const MAX_LINE_BYTES = Infinity\n',
    test: 'test/log/hostile-values.long.ts',
    proves: ['E8']
  },
  {
    name: 'A value overwrites the level of its log line',
    file: 'src/lib/logger.ts',
    find: "for (const name of ['level', 'timestamp', 'logger']) delete fields[name]",
    replace: "for (const name of ['timestamp', 'logger']) delete fields[name]",
    test: 'test/log/hostile-values.long.ts',
    proves: ['E8']
  },
  {
    name: 'A package comes over plain http',
    file: 'package-lock.json',
    find: '"node_modules/autocannon": {\n      "version"',
    replace:
      '"node_modules/autocannon": {\n      "resolved": "http://packages.example/a.tgz",\n' +
      '      "version"',
    test: 'test/repo/supply-chain.test.ts',
    proves: ['E9', 'T40']
  },
  {
    name: 'Health stays green while the service drains',
    file: 'routes/health/index.ts',
    find: 'toCheckResult(!app.isDraining())',
    replace: 'toCheckResult(true)',
    test: 'test/api/health.test.ts',
    proves: ['E1', 'E4']
  }
]
