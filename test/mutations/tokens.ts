import type { Mutation } from './mutation.ts'

/** Defences of logins, of token pairs and of the vault that keeps them. */
export const TOKEN_MUTATIONS: readonly Mutation[] = [
  {
    name: 'States and secrets are stored as they are, not as hashes',
    file: 'src/lib/secret.ts',
    find: "hash('sha256', secret, 'base64url')",
    replace: 'secret',
    test: 'test/auth/state.test.ts',
    proves: ['A1']
  },
  {
    name: 'The state of a login has 64 random bits',
    file: 'src/lib/secret.ts',
    find: 'const SECRET_BYTES = 32',
    replace: 'const SECRET_BYTES = 8',
    test: 'test/auth/state.test.ts',
    proves: ['A1']
  },
  {
    name: 'A callback is accepted from any browser',
    file: 'src/oauth/browser-binding.ts',
    find: 'if (flow.browserHash === null) return undefined',
    replace: "if (flow.browserHash !== '') return undefined",
    test: 'test/auth/callback.test.ts',
    proves: ['A2', 'T02']
  },
  {
    name: 'A callback of one product finishes a login of the other',
    file: 'src/oauth/browser-binding.ts',
    find: 'if (provider !== undefined && provider !== flow.provider) {',
    replace: "if (provider === '') {",
    test: 'test/auth/callback.test.ts',
    proves: ['A2']
  },
  {
    name: 'Every request that brings a code exchanges it',
    file: 'src/store/repositories/login-flows.ts',
    find: '          isNull(flows.codeHash),\n',
    replace: '',
    test: 'test/auth/parallel.test.ts',
    proves: ['A3']
  },
  {
    name: 'A consent counts for the first user, whomever its login names',
    file: 'src/oauth/connect-account.ts',
    find: 'flow.userId === null ? parseUserHint(callerState) :',
    replace: 'flow.userId === null ? undefined :',
    test: 'test/auth/parallel.test.ts',
    proves: ['T04']
  },
  {
    name: 'Another account replaces the connected one unasked',
    file: 'src/connections/save-consent.ts',
    find: 'if (hasAccountChanged && !isAltered && !consent.changeAccount) {',
    replace: 'if (hasAccountChanged && isAltered && !consent.changeAccount) {',
    test: 'test/connections/account.test.ts',
    proves: ['A8', 'T03']
  },
  {
    name: 'A start in production makes a vault key if the settings have none',
    file: 'src/config/conflicts.ts',
    find: 'production && values.VAULT_KEYS === undefined &&',
    replace: 'production && values.VAULT_KEYS === null &&',
    test: 'test/config/invalid.long.ts',
    proves: ['A4']
  },
  {
    name: 'A login redirects to any host',
    file: 'src/http/return-url.ts',
    find: 'url === null || url.origin !== origin ||',
    replace: 'url === null ||',
    test: 'test/auth/redirects.test.ts',
    proves: ['A5']
  },
  {
    name: 'Browsers may store redirects',
    file: 'src/http/security-headers.ts',
    find: "'cache-control': 'no-store',",
    replace: "'cache-control': 'private',",
    test: 'test/auth/no-secrets-in-urls.test.ts',
    proves: ['A6']
  },
  {
    name: 'The Host header of a request chooses the callback URL',
    file: 'routes/auth/login.ts',
    find: 'const login = {\n        client,',
    replace:
      'const login = {\n        client: {\n          ...client,\n          redirectUri:\n' +
      "            'http://' + request.headers.host + new URL(client.redirectUri).pathname\n" +
      '        },',
    test: 'test/auth/session-fixation.test.ts',
    proves: ['A7']
  },
  {
    name: 'Another process may take over a refresh at once',
    file: 'src/grants/refresh.ts',
    find: 'grant.failures,\n        leaseTtlMs,\n',
    replace: 'grant.failures,\n        0,\n',
    test: 'test/grants/processes.long.ts',
    proves: ['A10', 'T16']
  },
  {
    name: 'A late refresh overwrites newer tokens',
    file: 'src/store/repositories/grant-refresh.ts',
    find: "ownedBy(attempt),\n        'active',",
    replace: "eq(grants.id, attempt.id),\n        'active',",
    test: 'test/grants/processes.long.ts',
    proves: ['A12']
  },
  {
    name: 'Nobody looks for a refresh that a crash has interrupted',
    file: 'src/store/repositories/grant-refresh.ts',
    find: ',\n            dueAt: retryAt\n',
    replace: '\n',
    test: 'test/grants/crash.long.ts',
    proves: ['A11']
  },
  {
    name: 'Tokens that Atlassian has refused for good are tried again',
    file: 'src/grants/decrypt.ts',
    find: "if (grant.state === 'needs_reconnect' && !isMarkedUndecryptable) {",
    replace: "if (grant.state === 'misconfigured' && isMarkedUndecryptable) {",
    test: 'test/grants/crash.long.ts',
    proves: ['T42']
  },
  {
    name: 'Unused tokens are refreshed when they may have expired already',
    file: 'src/grants/refresh-policy.ts',
    find: '[60 * DAY_MS, 15 * DAY_MS]',
    replace: '[80 * DAY_MS, 15 * DAY_MS]',
    test: 'test/grants/clocks.long.ts',
    proves: ['A13']
  },
  {
    name: 'Any error of a refresh ends the consent',
    file: 'src/oauth/tokens.ts',
    find: 'isPermanent: (error) => PERMANENT_ERRORS.has(error)',
    replace: 'isPermanent: (error) => error.length > 0',
    test: 'test/grants/states.long.ts',
    proves: ['A14']
  },
  {
    name: 'An empty access token replaces the valid one',
    file: 'src/oauth/tokens.ts',
    find: "if (typeof accessToken !== 'string' || accessToken === '') {",
    replace: "if (typeof accessToken !== 'string') {",
    test: 'test/grants/states.long.ts',
    proves: ['A15']
  },
  {
    name: 'A ciphertext decrypts in any row and column',
    file: 'src/vault/vault.ts',
    find: 'keyId: string, place: string): Buffer {',
    replace: "keyId: string, place: string): Buffer {\n  place = ''",
    test: 'test/vault/vault.test.ts',
    proves: ['B2', 'T09']
  },
  {
    name: 'The tag of a ciphertext is not verified',
    file: 'src/vault/vault.ts',
    find: ',\n          decipher.final()\n',
    replace: '\n',
    test: 'test/vault/vault.test.ts',
    proves: ['B3', 'T10']
  },
  {
    name: 'Several spellings of one ciphertext decrypt',
    file: 'src/vault/vault.ts',
    find: " ||\n        bytes.toString('base64url') !== body\n",
    replace: '\n',
    test: 'test/vault/vault.test.ts',
    proves: ['B3', 'T10']
  },
  {
    name: 'All ciphertexts have the same nonce',
    file: 'src/vault/vault.ts',
    find: 'const nonce = randomBytes(NONCE_BYTES)',
    replace: 'const nonce = Buffer.alloc(NONCE_BYTES)',
    test: 'test/vault/vault.test.ts',
    proves: ['B4']
  },
  {
    name: 'An exhausted key encrypts the tokens of new logins',
    file: 'src/vault/vault.ts',
    find: 'if (counter.getTotal() >= MAX_KEY_USES) throw',
    replace: 'if (counter.getTotal() >= Infinity) throw',
    test: 'test/vault/key-uses.test.ts',
    proves: ['B4']
  },
  {
    name: 'Only the first key decrypts',
    file: 'src/vault/vault.ts',
    find: 'const key = keyring.find(keyId)',
    replace: 'const key = keyId === keyring.current.id ? keyring.current.key : undefined',
    test: 'test/vault/vault.test.ts',
    proves: ['B5']
  },
  {
    name: 'A start without the keys of the stored tokens succeeds',
    file: 'src/grants/verify-keys.ts',
    find: 'if (problems.length > 0) throw new StartError(problems, CONFIGURATION_EXIT_CODE)\n',
    replace: '',
    test: 'test/sync/grants.test.ts',
    proves: ['B7']
  },
  {
    name: 'A vault key that is not random is accepted',
    file: 'src/vault/keyring.ts',
    find: "  if (isLowEntropy(key)) return 'is not random'\n",
    replace: '',
    test: 'test/vault/keyring.test.ts',
    proves: ['A4', 'B8']
  },
  {
    name: 'Production reads keys from a file that every user can read',
    file: 'src/config/insecure.ts',
    find: 'checkFile(variable, path, true)',
    replace: 'checkFile(variable, path, false)',
    test: 'test/config/insecure.test.ts',
    proves: ['B8']
  },
  {
    name: 'The outcome of a login keeps the tokens in plain text',
    file: 'src/oauth/connect-account.ts',
    find: '...(newSites.length === 0 ? {} : { newSites })\n',
    replace: '...(newSites.length === 0 ? {} : { newSites }),\n          tokens\n',
    test: 'test/log/canaries.test.ts',
    proves: ['B1', 'T21']
  },
  {
    name: 'Parameters that no route declares are logged',
    file: 'plugins/logging.ts',
    find: 'Object.hasOwn(properties, name) && !isSecretName(name)',
    replace: '!isSecretName(name)',
    test: 'test/log/events.test.ts',
    proves: ['B10']
  },
  {
    name: 'The path and the headers of a request line are not searched for secrets',
    file: 'src/lib/logger.ts',
    find: 'foreignFields.length > MAX_PLAIN_CHARS || isSuspicious(secrets, foreignFields)',
    replace: 'foreignFields.length > MAX_PLAIN_CHARS',
    test: 'test/log/request-lines.test.ts',
    proves: ['B10']
  },
  {
    name: 'Values reach the logger as callers pass them',
    file: 'src/lib/logger.ts',
    find: 'write.apply(this, sanitizeArgs(args, secrets))',
    replace: 'write.apply(this, args)',
    test: 'test/log/hostile-values.long.ts',
    proves: ['B11']
  },
  {
    name: 'The creation of a user leaves no row in the audit trail',
    file: 'src/store/repositories/users.ts',
    find: "          record({ action: 'user_created', userId: user.id })\n",
    replace: '',
    test: 'test/audit/actions.test.ts',
    proves: ['B12', 'T18']
  },
  {
    name: 'The logins of a deleted user remain',
    file: 'src/connections/erasure.ts',
    find: ',\n    deleteLoginsStatement\n',
    replace: '\n',
    test: 'test/personal-data/erasure.test.ts',
    proves: ['B13']
  },
  {
    name: 'Lint accepts comparisons of hashes by ===',
    file: 'eslint.config.js',
    find: '.*(Hash|Digest|',
    replace: '.*(Digest|',
    test: 'test/repo/secret-comparison.test.ts',
    proves: ['T30']
  },
  {
    name: 'A listing that a fault interrupts counts as finished',
    file: 'src/sync/full-listing.ts',
    find: 'if (!isRefused) throw error',
    replace: 'if (!isRefused) return await checkpoints.get(partition)',
    test: 'test/sync/faults-resumed.long.ts',
    proves: ['D8']
  }
]
