import type { Mutation } from './mutation.ts'

/** Defences of what the service shows, to whom it answers, and who else can read its files. */
export const EXPOSURE_MUTATIONS: readonly Mutation[] = [
  {
    name: 'A request to /healthz uses the vault key',
    file: 'src/grants/verify-keys.ts',
    find: 'const opens = canDecrypt(() => vault.decrypt(proof, buildProofAad(id)))\n',
    replace: 'const opens = canDecrypt(() => vault.encrypt(KNOWN_PLAINTEXT, buildProofAad(id)))\n',
    test: 'test/vault/key-uses.test.ts',
    proves: ['B4']
  },
  {
    name: '/healthz does not try the vault key',
    file: 'routes/health/index.ts',
    find: 'toCheckResult(app.vault.opensProof())',
    replace: 'toCheckResult(true)',
    test: 'test/vault/key-uses.test.ts',
    proves: ['E4']
  },
  {
    name: 'Uses of the vault key are counted after they happen',
    file: 'src/vault/vault.ts',
    find: '      while (countedUses - uses < needed) {',
    replace: '      while (countedUses - uses < 0) {',
    test: 'test/vault/key-uses.test.ts',
    proves: ['B4']
  },
  {
    name: 'A stop leaves counted what was never used',
    file: 'src/vault/vault.ts',
    find: '      if (uses !== countedUses) await count(uses - countedUses)\n',
    replace: '',
    test: 'test/vault/key-uses.test.ts',
    proves: ['B4']
  },
  {
    name: 'Uses of the vault key by other instances do not count',
    file: 'src/vault/vault.ts',
    find: 'getTotal: () => otherUses + uses,',
    replace: 'getTotal: () => uses,',
    test: 'test/vault/key-uses.test.ts',
    proves: ['B4']
  },
  {
    name: 'Nothing warns before the vault key reaches its limit',
    file: 'plugins/vault.ts',
    find: 'uses < MAX_KEY_USES * WARNING_RATIO',
    replace: 'uses < MAX_KEY_USES / WARNING_RATIO',
    test: 'test/vault/key-uses.test.ts',
    proves: ['B4']
  },
  {
    name: '/healthz is ready although the database does not answer',
    file: 'routes/health/index.ts',
    find: 'Promise.race([app.store.isMigrated(), timeout])',
    replace: 'Promise.race([app.store.isMigrated(), timeout.catch(() => true)])',
    test: 'test/api/health.test.ts',
    proves: ['E4']
  },
  {
    name: '/healthz is ready without a database',
    file: 'routes/health/index.ts',
    find: "Object.values(checks).every((check) => check === 'ok')",
    replace: "checks.accepting === 'ok'",
    test: 'test/api/health.test.ts',
    proves: ['E4']
  },
  {
    name: '/health/oauth shows client ids in place of the variables that set them',
    file: 'routes/health/index.ts',
    find: '      from: sources[name]\n',
    replace: "      from: name === 'client_id' ? (clientId ?? sources[name]) : sources[name]\n",
    test: 'test/api/health.test.ts',
    proves: ['E4']
  },
  {
    name: 'Secrets stay in the environment of the process',
    file: 'src/cli/serve.ts',
    find: '    Reflect.deleteProperty(process.env, name)\n',
    replace: '    Reflect.has(process.env, name)\n',
    test: 'test/process/machine.test.ts',
    proves: ['B8']
  },
  {
    name: 'Diagnostic reports contain the first environment',
    file: 'src/cli/serve.ts',
    find: '  if (process.report !== undefined) process.report.excludeEnv = true\n',
    replace: '',
    test: 'test/process/machine.test.ts',
    proves: ['B8']
  },
  {
    name: 'A key file may be readable by every user',
    file: 'src/lib/file-trust.ts',
    find: '  if ((stats.mode & OTHERS_READABLE) !== 0) {',
    replace: '  if ((stats.mode & OTHERS_WRITABLE) !== 0) {',
    test: 'test/config/insecure.test.ts',
    proves: ['T41', 'B8']
  },
  {
    name: 'A key file may be writable by every user',
    file: 'src/lib/file-trust.ts',
    find: '  if ((mode & OTHERS_WRITABLE) !== 0) {',
    replace: '  if ((mode & OTHERS_WRITABLE) === mode) {',
    test: 'test/config/insecure.test.ts',
    proves: ['T41', 'B8']
  },
  {
    name: 'A folder may lie in one that every user can change',
    file: 'src/lib/file-trust.ts',
    find: '(mode & OTHERS_WRITABLE) !== 0 && (mode & STICKY) === 0',
    replace: '(mode & OTHERS_WRITABLE) !== 0 && (mode & STICKY) !== 0',
    test: 'test/config/insecure.test.ts',
    proves: ['T41']
  },
  {
    name: 'The files beside the database are not checked',
    file: 'src/config/insecure.ts',
    find: "['', '-wal', '-shm']",
    replace: "['']",
    test: 'test/config/insecure.test.ts',
    proves: ['T41']
  },
  {
    name: 'Any word in ALLOW_INSECURE permits everything',
    file: 'src/config/insecure.ts',
    find: '!allowed.includes(allowance)',
    replace: 'allowed.length === 0',
    test: 'test/config/insecure.test.ts',
    proves: ['T41']
  },
  {
    name: 'Production accepts limits that are all off',
    file: 'src/config/insecure.ts',
    find: '        ...findMissingLimits(resolved),\n',
    replace: '',
    test: 'test/config/insecure.test.ts',
    proves: ['T41']
  },
  {
    name: 'Production accepts an http address of this service',
    file: 'src/config/insecure.ts',
    find: "  ['APP_FRONTEND_URL', 'http_frontend'],\n  ['PUBLIC_URL', 'http_public']\n",
    replace: "  ['APP_FRONTEND_URL', 'http_frontend']\n",
    test: 'test/config/insecure.test.ts',
    proves: ['T41']
  },
  {
    name: 'What ALLOW_INSECURE permits is not logged',
    file: 'src/config/load.ts',
    find: '    ...insecurities.warnings,\n',
    replace: '',
    test: 'test/config/insecure.test.ts',
    proves: ['T41']
  },
  {
    name: 'Development with an Atlassian app answers every host name',
    file: 'src/config/exposure.ts',
    find: '(production ? env.PUBLIC_URL !== undefined : hasApp)',
    replace: '(production && env.PUBLIC_URL !== undefined)',
    test: 'test/api/request-source.test.ts',
    proves: ['T29']
  },
  {
    name: 'A host name that begins with an allowed one is allowed',
    file: 'src/http/request-source.ts',
    find: 'allowedHosts.includes(hostname)',
    replace: 'allowedHosts.some((allowed) => hostname.startsWith(allowed))',
    test: 'test/api/request-source.test.ts',
    proves: ['T06']
  },
  {
    name: 'A host name that begins like a loopback address is one of this machine',
    file: 'src/config/formats.ts',
    find: '/^127(\\.\\d{1,3}){3}$/',
    replace: '/^127(\\.\\d{1,3}){3}/',
    test: 'test/api/request-source.test.ts',
    proves: ['T06']
  },
  {
    name: 'Anybody names the host by X-Forwarded-Host',
    file: 'src/http/request-source.ts',
    find: '  return [request.host, target]\n',
    replace: "  return [request.headers['x-forwarded-host']?.toString() ?? request.host, target]\n",
    test: 'test/api/request-source.test.ts',
    proves: ['T06']
  },
  {
    name: 'Links of production lead to the host of the request',
    file: 'src/http/public-url.ts',
    find: '  const isLocal = !production && host !== null && isLoopback(host.hostname)\n',
    replace: '  const isLocal = host !== null\n',
    test: 'test/auth/session-fixation.test.ts',
    proves: ['T06']
  },
  {
    name: 'Development answers pages of any origin',
    file: 'src/http/request-source.ts',
    find: '  if (origin === undefined || (origin',
    replace: "  if (site !== 'none' || (origin",
    test: 'test/api/request-source.test.ts',
    proves: ['T29']
  },
  {
    name: 'A page without an origin counts as one of this service',
    file: 'src/http/request-source.ts',
    find: "(origin === 'null' && site === 'same-origin')",
    replace: "origin === 'null'",
    test: 'test/api/request-source.test.ts',
    proves: ['T29']
  },
  {
    name: 'A form of another site takes effect',
    file: 'src/http/request-source.ts',
    find: '/^\\s*(application\\/x-www-form-urlencoded|multipart\\/form-data|text\\/plain)',
    replace: '/^\\s*(multipart\\/form-data|text\\/plain)',
    test: 'test/api/request-source.test.ts',
    proves: ['C11']
  },
  {
    name: 'A POST of another site without a body takes effect',
    file: 'src/http/request-source.ts',
    find: "'content-type': contentType = 'text/plain' }",
    replace: "'content-type': contentType = '' }",
    test: 'test/api/request-source.test.ts',
    proves: ['C11']
  },
  {
    name: 'Two Host headers are accepted',
    file: 'src/http/request-source.ts',
    find: '  if (hostCount > 1) throw',
    replace: '  if (hostCount > 2) throw',
    test: 'test/api/raw.test.ts',
    proves: ['T15']
  },
  {
    name: 'HTTP/0.9 is accepted',
    file: 'src/http/request-source.ts',
    find: "  if (httpVersion !== '1.1' && httpVersion !== '1.0') {",
    replace: "  if (httpVersion.startsWith('2')) {",
    test: 'test/api/raw.test.ts',
    proves: ['T15']
  },
  {
    name: 'PUBLIC_URL alone restricts no host name',
    file: 'src/config/exposure.ts',
    find: '(production ? env.PUBLIC_URL !== undefined : hasApp)',
    replace: '(!production && hasApp)',
    test: 'test/api/request-source.test.ts',
    proves: ['T06']
  }
]
