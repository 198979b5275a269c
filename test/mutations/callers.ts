import type { Mutation } from './mutation.ts'
import { SHARE_MUTATIONS } from './shares.ts'

const KEYS = 'test/access/key-restrictions.test.ts'
const TOKENS = 'test/access/jwt-claims.test.ts'
const TABLE = 'test/access/table.test.ts'
const SESSIONS = 'test/access/sessions.test.ts'
const REVOCATION = 'test/access/revocation.long.ts'

/** Defences against callers who are somebody else, or want more than they may have. */
export const CALLER_MUTATIONS: readonly Mutation[] = [
  {
    name: 'A key needs any scope, not that of the route',
    file: 'src/access/rules.ts',
    find: "(principal.scopes.includes(scope) || principal.scopes.includes('admin'))",
    replace: 'principal.scopes.length > 0',
    test: TABLE,
    proves: ['T01', 'C6']
  },
  {
    name: 'A route without an access rule does not stop the start',
    file: 'plugins/access.ts',
    find: 'if (undeclaredRoutes.length > 0) {',
    replace: 'if (undeclaredRoutes.length < 0) {',
    test: TABLE,
    proves: ['T01']
  },
  {
    name: 'Protected mode answers requests without a credential',
    file: 'plugins/access.ts',
    find: 'if (principal === undefined && !config.publicAccess) {',
    replace: 'if (false) {',
    test: 'test/access/credentials.test.ts',
    proves: ['C6']
  },
  {
    name: 'A request without credentials is admitted at once in protected mode too',
    file: 'plugins/access.ts',
    find: '          config.publicAccess &&\n',
    replace: '',
    test: 'test/access/credentials.test.ts',
    proves: ['C6']
  },
  {
    name: 'Of several Authorization headers the first counts',
    file: 'plugins/access.ts',
    find: "if (countHeader(rawHeaders, 'authorization') > 1) {",
    replace: "if (countHeader(rawHeaders, 'authorization') > 9) {",
    test: 'test/access/credentials.test.ts',
    proves: ['T05']
  },
  {
    name: 'Every peer may name the address and the host of a request',
    file: 'src/app.ts',
    find: 'trustProxy: (address, hop) => isTrustedProxy(address, hop),',
    replace: 'trustProxy: (address, hop) => isTrustedProxy(address, hop) || true,',
    test: 'test/api/request-source.test.ts',
    proves: ['T05']
  },
  {
    name: "A person reaches another person's objects by their id",
    file: 'plugins/access.ts',
    find: 'return requestedOwnerId === undefined || requestedOwnerId === ownUserId',
    replace: 'return requestedOwnerId === undefined || requestedOwnerId >= 0',
    test: 'test/access/cross-user.test.ts',
    proves: ['C7', 'T23']
  },
  {
    name: 'The refusal of a foreign id says that the user exists',
    file: 'plugins/access.ts',
    find: "new AppError('user_not_found', 'No user has this id.')",
    replace: "new AppError('forbidden', 'This is another user.')",
    test: 'test/access/cross-user.test.ts',
    proves: ['C7', 'T23']
  },
  {
    name: 'A key for copies exports personal data',
    file: 'routes/personal-data/index.ts',
    find: "scope: 'personal-data:read'",
    replace: "scope: 'data:read'",
    test: KEYS,
    proves: ['T23']
  },
  {
    name: 'The checksum of a key is not verified',
    file: 'src/access/authenticate.ts',
    find: 'const apiKey = isIntactKey(credential)\n',
    replace: 'const apiKey = true\n',
    test: KEYS,
    proves: ['T41']
  },
  {
    name: 'A new key has no checksum',
    file: 'src/access/secrets.ts',
    find: 'return key + computeChecksum(key)',
    replace: "return key + '0'.repeat(CHECKSUM_LENGTH)",
    test: KEYS,
    proves: ['T41']
  },
  {
    name: 'A key works from every network',
    file: 'src/access/authenticate.ts',
    find: 'apiKey.networks !== null && !isInNetworks(ip, apiKey.networks)',
    replace: 'false',
    test: KEYS,
    proves: ['T07']
  },
  {
    name: 'A network is compared without the length of its prefix',
    file: 'src/access/networks.ts',
    find: 'list.addSubnet(address, Number(prefix), family)',
    replace: 'list.addSubnet(address, Math.min(Number(prefix), 8), family)',
    test: KEYS,
    proves: ['T07']
  },
  {
    name: 'The longest life of keys is ignored',
    file: 'src/access/authenticate.ts',
    find: 'if (isTooOld || isElsewhere)',
    replace: 'if (isElsewhere)',
    test: KEYS,
    proves: ['T07']
  },
  {
    name: 'Every key may replace itself',
    file: 'routes/api-keys/index.ts',
    find: "scope: 'keys:rotate'",
    replace: "scope: 'users:read'",
    test: KEYS,
    proves: ['T38']
  },
  {
    name: 'A key that was replaced goes on working after the overlap',
    file: 'src/store/repositories/api-keys.ts',
    find: '        isOver(row.expiresAt) ||\n        isOver(row.rotatedUntil)\n',
    replace: '        isOver(row.expiresAt)\n',
    test: KEYS
  },
  {
    name: 'A new key loses the networks of the old one',
    file: 'src/store/repositories/api-keys.ts',
    find: '.values(toRow({ name, scopes, networks, expiresAt, ...secret }))',
    replace: '.values(toRow({ name, scopes, expiresAt, ...secret }))',
    test: KEYS
  },
  {
    name: 'A logout token or a DPoP proof works as a credential',
    file: 'src/access/jwt.ts',
    find: '        isAcceptedType(protectedHeader.typ) &&\n',
    replace: '',
    test: TOKENS,
    proves: ['T08']
  },
  {
    name: 'A token that is bound to a key of its holder works without it',
    file: 'src/access/jwt.ts',
    find: '        cnf === undefined &&\n',
    replace: '',
    test: TOKENS,
    proves: ['T08']
  },
  {
    name: 'A token may be issued in the future',
    file: 'src/access/jwt.ts',
    find: '        (iat ?? nowS) <= nowS + CLOCK_TOLERANCE_S &&\n',
    replace: '',
    test: TOKENS,
    proves: ['T08']
  },
  {
    name: 'A token may live as long as its issuer says',
    file: 'src/access/jwt.ts',
    find: 'exp - (iat ?? nowS) <= maxLifetimeS',
    replace: 'exp > 0',
    test: TOKENS,
    proves: ['T08']
  },
  {
    name: 'A token without the time of its issue may live for ever',
    file: 'src/access/jwt.ts',
    find: 'exp - (iat ?? nowS) <= maxLifetimeS',
    replace: 'exp - (iat ?? exp) <= maxLifetimeS',
    test: TOKENS,
    proves: ['T08']
  },
  {
    name: 'The subject of a token may be text that an engine cannot store',
    file: 'src/access/jwt.ts',
    find: ' || !isStorableText(sub)) {',
    replace: ') {',
    test: TOKENS,
    proves: ['T08']
  },
  {
    name: 'The name in a token may be text that an engine cannot store',
    file: 'src/access/jwt.ts',
    find: 'name.length <= 200 && isStorableText(name) ? name : null',
    replace: 'name.length <= 200 ? name : null',
    test: TOKENS,
    proves: ['T08']
  },
  {
    name: 'A key that is newer than the last download of the key set is refused',
    file: 'src/access/key-set.ts',
    find: 'if (!isUnknownKey || requestedAt >= arrivedAt) throw error',
    replace: 'throw error',
    test: 'test/access/jwt-keys.test.ts',
    proves: ['T08']
  },
  {
    name: 'Each invented key id causes a download',
    file: 'src/access/key-set.ts',
    find: 'if (download === undefined && waitMs > 0) throw createUnavailableError(waitMs)',
    replace: '',
    test: 'test/access/jwt-keys.test.ts',
    proves: ['T08']
  },
  {
    name: 'A token that was verified once works after it expired',
    file: 'src/access/verified-tokens.ts',
    find: ' && time < cached.verified.expiresAt',
    replace: '',
    test: 'test/access/verified-tokens.test.ts',
    proves: ['T08']
  },
  {
    name: 'A token that was verified once works after its key was removed',
    file: 'src/access/verified-tokens.ts',
    find: '    if (keys !== tokenKeys) tokens.clear()\n',
    replace: '',
    test: 'test/access/jwt-keys.test.ts',
    proves: ['T08']
  },
  {
    name: 'A token is recognised by its claims, whatever its signature',
    file: 'src/access/verified-tokens.ts',
    find: 'hashSecret(token)',
    replace: "hashSecret(token.split('.')[1] ?? '')",
    test: 'test/access/jwt-keys.test.ts',
    proves: ['T08']
  },
  {
    name: 'A token is remembered with keys that did not verify it',
    file: 'src/access/verified-tokens.ts',
    find: ' && keys === tokenKeys',
    replace: '',
    test: 'test/access/verified-tokens.test.ts',
    proves: ['T08']
  },
  {
    name: 'A token for another audience is accepted',
    file: 'src/access/jwt.ts',
    find: '    issuer,\n    audience,\n    algorithms',
    replace: '    issuer,\n    algorithms',
    test: 'test/access/jwt-users.test.ts',
    proves: ['T08']
  },
  {
    name: 'A key without users:write creates users',
    file: 'routes/users/index.ts',
    find: "config: { access: { scope: 'users:write' }, unknownQuery: 'ignored' }",
    replace: "config: { access: { scope: 'connections:write' }, unknownQuery: 'ignored' }",
    test: 'test/access/addresses.test.ts',
    proves: ['T24']
  },
  {
    name: 'An address that nobody verified links a token to its user',
    file: 'src/access/jwt.ts',
    find: "email: verified === true && typeof email === 'string'",
    replace: "email: typeof email === 'string'",
    test: 'test/access/addresses.test.ts',
    proves: ['T24']
  },
  {
    name: 'A session keeps the cookie that the browser had before',
    file: 'routes/connect/link.ts',
    find: 'const key = randomToken()',
    replace: 'const key = reply.request.cookies[name] ?? randomToken()',
    test: SESSIONS,
    proves: ['T07']
  },
  {
    name: 'The sessions of a removed user go on',
    file: 'src/connections/erasure.ts',
    find: '    store.connectSessions.deleteForUserStatement(user.id),\n',
    replace: '',
    test: SESSIONS,
    proves: ['T07']
  },
  {
    name: 'A cookie alone changes data',
    file: 'plugins/access.ts',
    find: "rule.session === true && (method === 'GET' || method === 'HEAD')",
    replace: 'rule.session === true',
    test: SESSIONS,
    proves: ['C11']
  },
  {
    name: 'A long poll goes on after its key was revoked',
    file: 'routes/changes/index.ts',
    find: 'if (!(await isStillAuthorized())) {',
    replace: 'if (false) {',
    test: REVOCATION,
    proves: ['T07']
  },
  {
    name: 'An export goes on after its key was revoked',
    file: 'src/http/json-stream.ts',
    find: '      if (isAuthorized) return\n',
    replace: '      if (isAuthorized || true) return\n',
    test: REVOCATION,
    proves: ['T07']
  },
  {
    name: 'An event stream goes on after its key was revoked',
    file: 'routes/integrations/run-stream.ts',
    find: '    if (!(await isStillAuthorized())) return\n',
    replace: '',
    test: 'test/access/streams.test.ts',
    proves: ['T07']
  },
  {
    name: 'A caller requests any scope',
    file: 'src/oauth/authorize-url.ts',
    find: 'const selected = narrowed.length === 0 ? configured : narrowed',
    replace: 'const selected = requested === undefined ? configured : requestedScopes',
    test: 'test/auth/session-fixation.test.ts',
    proves: ['T38']
  },
  {
    name: 'A login of user 11 counts as one of user 1',
    file: 'src/store/repositories/login-flows.ts',
    find: ': hint.userId === id)',
    replace: ': String(hint.userId).startsWith(String(id)))',
    test: 'test/store/sqlite.long.ts'
  },
  ...SHARE_MUTATIONS
]
