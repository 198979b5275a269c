/** Headers that a stranger may send to be taken for somebody, or to make this service take itself for another. */
export const HOSTILE_HEADERS: ReadonlyArray<Record<string, string>> = [
  ...[
    'evil.example', 'evil.example:3001', 'localhost', 'localhost:1', 'localhost:65536', 'localhost:3001@evil.example', 'evil.example@localhost:3001', 'localhost:3001.evil.example', 'LOCALHOST:3001', 'localhost.:3001', '127.0.0.1:3001', '[::1]:3001', '0.0.0.0', '2130706433',
    'localhost, evil.example', 'localhost evil.example', 'localhost/evil', 'localhost?evil', 'localhost#evil', 'localhost\\evil', 'evil.example%00.localhost', '%6cocalhost', 'xn--lcalhost-7yf', '_', '', '*', 'a'.repeat(300), "';--", '<script>', '[', '[::1', ':3001', '..', '127.0.0.1.evil.example', '127.999.999.999'
  ].map((host) => ({ host })),
  ...['evil.example', 'evil.example, localhost', 'localhost:3001, evil.example', 'evil.example:443', '', ',', 'javascript:alert(1)'].map((value) => ({ 'x-forwarded-host': value })),
  ...['https', 'http', 'javascript', 'https, http', 'file', '', 'https://evil.example'].map((value) => ({ 'x-forwarded-proto': value })),
  ...['127.0.0.1', '::1', 'evil', '10.0.0.1, 127.0.0.1', '', 'unknown', '1.2.3.4:80'].map((value) => ({ 'x-forwarded-for': value })),
  ...['/evil', '//evil.example', '/api', '../..', ''].map((value) => ({ 'x-forwarded-prefix': value })),
  ...['host=evil.example', 'for=127.0.0.1;host=evil.example;proto=https', 'host="evil.example:443"', 'by=_x', 'host=evil.example, host=localhost'].map((value) => ({ forwarded: value })),
  ...['x-original-url', 'x-rewrite-url', 'x-original-uri', 'x-original-host', 'x-host', 'x-forwarded-server', 'x-http-host-override', 'x-forwarded-uri', 'x-forwarded-path', 'x-wap-profile', 'x-backend-host', 'x-envoy-original-path', 'base-url', 'x-proxy-url', 'true-client-ip', 'x-client-ip', 'cf-connecting-ip', 'x-real-ip', 'origin', 'referer', 'from', 'via']
    .map((name) => ({ [name]: 'http://evil.example/evil' })),
  ...['443', '80', '-1', '3001, 443'].map((value) => ({ 'x-forwarded-port': value })),
  { 'x-forwarded-ssl': 'on' },
  { 'front-end-https': 'on' },
  { 'x-forwarded-scheme': 'https' },
  { 'x-url-scheme': 'https' },
  { 'x-http-method-override': 'POST' },
  { 'x-method-override': 'DELETE' },
  { 'x-remote-user': 'admin' },
  { 'x-user-id': '1' },
  { authorization: 'Basic YWRtaW46YWRtaW4=' },
  { 'accept-language': 'zz-\u00FF' },
  { host: 'evil.example', 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https', 'x-forwarded-for': '127.0.0.1', 'x-forwarded-prefix': '/evil', forwarded: 'host=evil.example;proto=https', 'x-original-url': '/evil' }
]

/** Scopes a caller may ask for, and what is asked for in its place. `null`: everything configured. */
export const SCOPES: ReadonlyArray<[asked: string, gets: string | null]> = [
  ['read', null],
  ['', null],
  [' ', null],
  ['admin', null],
  ['write:jira-work', null],
  ['manage:jira-configuration manage:jira-project', null],
  ['read:jira-work', 'read:jira-work'],
  ['offline_access', 'offline_access'],
  ['offline_access read:jira-work read:jira-user', 'read:jira-work read:jira-user offline_access'],
  ['read:jira-work write:jira-work', 'read:jira-work'],
  ['read:jira-work  read:jira-work', 'read:jira-work'],
  ['read:jira-work,read:me', 'read:jira-work read:me'],
  ['READ:JIRA-WORK', null],
  ['read:jira-work%20write:jira-work', null],
  ['read:jira-work+write:jira-work', null],
  ['read:jira-work&scope=write:jira-work', null],
  ['read:jira-work\tread:me', 'read:jira-work read:me'],
  ['read:jira-work\nmanage:jira-webhook', 'read:jira-work'],
  ['read:jira-work"', null],
  ['read:page:confluence', null],
  ['read:jira-work read:page:confluence delete:page:confluence', 'read:jira-work'],
  ['*', null],
  ['read:*', null],
  ['openid profile email', null],
  ['__proto__ constructor toString', null],
  ['read:jira-work#x', null],
  [`${'x '.repeat(500)}read:me`, 'read:me'],
  ['read:me\u00A0write:jira-work', 'read:me'],
  ['read:me read:jira-user read:jira-work offline_access extra', null]
]
