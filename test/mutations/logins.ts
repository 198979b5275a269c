import type { Mutation } from './mutation.ts'

/** Defences of logins, connect links and what a key may learn. */
export const LOGIN_MUTATIONS: readonly Mutation[] = [
  {
    name: "A person gets Atlassian's address of a login",
    file: 'routes/auth/login.ts',
    find: 'restrictedUserId !== undefined || isChange',
    replace: 'isChange',
    test: 'test/access/login-tickets.test.ts',
    proves: ['T02']
  },
  {
    name: 'change_account leads to Atlassian without a question',
    file: 'routes/auth/login.ts',
    find: 'restrictedUserId !== undefined || isChange',
    replace: 'restrictedUserId !== undefined',
    test: 'test/access/login-tickets.test.ts',
    proves: ['T03']
  },
  {
    name: 'A service key that names no user connects the first one',
    file: 'routes/auth/login.ts',
    find: 'hint === undefined && !app.config.publicAccess',
    replace: 'false',
    test: 'test/access/login-tickets.test.ts',
    proves: ['T04']
  },
  {
    name: 'A ticket does not expire',
    file: 'src/oauth/start-login.ts',
    find: 'flow === undefined || flow.expiresAt.getTime() <= now() ? undefined : flow',
    replace: 'flow',
    test: 'test/access/login-tickets.test.ts',
    proves: ['T02']
  },
  {
    name: 'A ticket works as a state',
    file: 'src/oauth/start-login.ts',
    find: 'hashSecret(`ticket ',
    replace: 'hashSecret(`',
    test: 'test/access/login-tickets.test.ts',
    proves: ['T02']
  },
  {
    name: 'A login that a page continues is bound to no browser',
    file: 'src/store/repositories/login-flows.ts',
    find: '.set(toPlaceholders({ stateHash, expiresAt, browserHash }))',
    replace: '.set(toPlaceholders({ stateHash, expiresAt }))',
    test: 'test/access/login-tickets.test.ts',
    proves: ['T02']
  },
  {
    name: 'The form of a page is accepted from any browser with a page',
    file: 'routes/connect/form.ts',
    find: "!isSameHash(deriveFormToken(secret), form.get('form_token') ?? '')",
    replace: 'false',
    test: 'test/access/login-tickets.test.ts',
    proves: ['T02']
  },
  {
    name: 'A prefetch is answered',
    file: 'src/http/navigation.ts',
    find: 'if (purposes.some(',
    replace: 'if (false && purposes.some(',
    test: 'test/access/login-tickets.test.ts',
    proves: ['T02']
  },
  {
    name: 'A key with connections:write alone creates users',
    file: 'src/oauth/named-user.ts',
    find: "if (hasScope(principal, 'users:write')) return",
    replace: 'if (true) return',
    test: 'test/access/login-tickets.test.ts'
  },
  {
    name: 'A key with connections:write alone learns ids by address',
    file: 'src/oauth/named-user.ts',
    find: "if (!hasScope(principal, 'users:read'))",
    replace: 'if (false)',
    test: 'test/access/login-tickets.test.ts'
  },
  {
    name: 'A second link replaces a live session unasked',
    file: 'routes/connect/link.ts',
    find: "form.get('replaces') !== String(own.id)",
    replace: 'false',
    test: 'test/access/connect-links.test.ts',
    proves: ['T07']
  },
  {
    name: 'Fetching a link opens it',
    file: 'routes/connect/link.ts',
    find: 'return await sendLinkPage(request, reply, session, own, token)\n    }\n  )',
    replace:
      'if (token !== undefined) await openSession(token, reply)\n' +
      '      return await sendLinkPage(request, reply, session, own, token)\n    }\n  )',
    test: 'test/access/connect-links.test.ts',
    proves: ['T07']
  },
  {
    name: 'The logins of an ended session go on',
    file: 'src/store/repositories/connect-sessions.ts',
    find: '        yield statement(tx)\n',
    replace: '',
    test: 'test/access/connect-links.test.ts'
  },
  {
    name: "A person ends somebody else's session",
    file: 'routes/connect-sessions/index.ts',
    find: 'session === undefined || !isAllowed',
    replace: 'session === undefined || (false && !isAllowed)',
    test: 'test/access/connect-links.test.ts'
  },
  {
    name: 'HEAD exchanges a code',
    file: 'routes/auth/callback.ts',
    find: '      exposeHeadRoute: false,\n',
    replace: '',
    test: 'test/access/connect-links.test.ts'
  },
  {
    name: 'A prefetch exchanges a code',
    file: 'routes/auth/callback.ts',
    find: '      refusePrefetch(request)\n',
    replace: '',
    test: 'test/access/connect-links.test.ts'
  },
  {
    name: 'CONSENT_EMAIL_MISMATCH is ignored',
    file: 'src/oauth/connect-account.ts',
    find: "if (emailMismatch === 'allow') return false",
    replace: 'if (true) return false',
    test: 'test/auth/email-mismatch.test.ts'
  },
  {
    name: 'CONSENT_EMAIL_MISMATCH=refuse stores the consent',
    file: 'src/oauth/connect-account.ts',
    find: "if (emailMismatch === 'flag') return true",
    replace: 'if (true) return true',
    test: 'test/auth/email-mismatch.test.ts'
  },
  {
    name: 'A login that names a person in encoded form is missed',
    file: 'src/store/repositories/login-flows.ts',
    find: ", '%', '\\\\']",
    replace: ']',
    test: 'test/store/sqlite.long.ts'
  },
  {
    name: 'A login whose address contains that of a person counts as theirs',
    file: 'src/store/repositories/login-flows.ts',
    find: 'normalizeEmail(hint.email) === normalizeEmail(email)',
    replace: 'normalizeEmail(hint.email).includes(normalizeEmail(email))',
    test: 'test/store/sqlite.long.ts'
  }
]
