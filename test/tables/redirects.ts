/**
 * Addresses for `return_url`, as a caller means them (the test encodes them once). `{O}` is the front end's origin,
 * `{H}` its host with port, `{N}` its host name.
 */

/** Each has to be refused: it leads elsewhere, or means to be misread. */
export const HOSTILE: readonly string[] = [
  // A host without a scheme.
  '//evil.example', '//evil.example/', '//evil.example/{H}', '//evil.example:3000', '///evil.example', '////evil.example', '/////evil.example', '//{H}@evil.example', '//evil.example#{O}', '//evil.example?{O}',
  '//{N}.evil.example', '//{H}', '//localhost', '//127.0.0.1', '//[::1]', '//2130706433', '//0x7f000001', '//', '///', '////',
  // Backslashes, which browsers read as slashes.
  '/\\evil.example', '\\/evil.example', '\\\\evil.example', '\\/\\/evil.example', '/\\/evil.example', '/\\\\evil.example', '//\\evil.example', '\\evil.example', '/x\\evil.example', 'http:\\\\evil.example', 'http:/\\evil.example', 'http:\\/evil.example',
  '{O}\\@evil.example', '{O}\\.evil.example', 'http://evil.example\\@{H}', 'http://evil.example\\{H}', '/\\{H}', '{O}/\\evil.example',
  // Blanks and control characters, which browsers drop.
  '/\t/evil.example', '/\n/evil.example', '/\r/evil.example', '/\r\n/evil.example', '\t//evil.example', ' //evil.example', '\n//evil.example', '/ /evil.example', '//\tevil.example', 'ht\ntp://evil.example', 'http:/\t/evil.example', 'http\t://evil.example',
  ' http://evil.example', '\u00A0//evil.example', '\u2028//evil.example', '\uFEFF//evil.example', '\u000B//evil.example', '/\u000C/evil.example', '/\u0001/evil.example', '\u0001//evil.example', '/\u007F/evil.example', '/\u0085/evil.example', '/\u3000/evil.example', '/\u200A/evil.example',
  '/path with blanks', '{O}/a\tb', '{O} ', ' {O}', '\t', ' ',
  // A second header.
  '/x\r\nLocation: http://evil.example', '/x\r\nSet-Cookie: a=b', '/x\nLocation:http://evil.example', '{O}/\r\nX: y', '/x\r\n\r\n<script>alert(1)</script>', '/\u0000//evil.example', '/x\u0000', '{O}\u0000.evil.example', '\u0000',
  // User info.
  'http://{H}@evil.example', 'http://{N}@evil.example', 'http://{N}:3000@evil.example', '{O}@evil.example', '{O}:x@evil.example', 'http://user@{H}', 'http://user:pass@{H}', 'http://evil.example@{H}', 'http://{H}%40evil.example',
  'http://{N}%3a3000@evil.example', 'http://evil.example%23@evil.example/{H}', 'http://a:b@c:d@{H}/',
  // Names that look like it.
  '{O}.evil.example', 'http://{N}.evil.example', 'http://{N}.evil.example:3000', 'http://evil.example/{H}', 'http://evil.example/?{O}', 'http://evil.example/#{O}', 'http://evil{N}', 'http://evil-{H}', 'http://not{H}', 'http://sub.{H}', 'http://www.{H}', 'http://{N}evil.example',
  'http://{N}-evil.example', 'http://{N}_', 'http://{N}..', 'http://.{H}', 'http://{N}%2eevil.example', 'http://{N}%00.evil.example', 'http://{N}%0d.evil.example', 'http://{N}%20.evil.example', 'http://{N}%2f.evil.example', 'http://{N}%5c.evil.example', 'http://{N},evil.example', 'http://{N};evil.example', 'http://{N}&evil.example',
  'http://xn--frnt-5qa.example:3000', 'http://fr\u043Ent.example:3000', 'http://l\u043Ecalhost:3001', 'http://xn--lcalhost-7yf:3001', 'http://\u0440aypal.example', 'http://front.examp\u217Ce.evil:3000', 'http://front\u3002example.evil', 'http://evil\u3002example', '//evil\u3002example', '/\u2215evil.example\\', 'http://\uFF45vil.example', 'http:\u2044\u2044evil.example', '\u2215\u2215evil.example', '\uFF0F\uFF0Fevil.example', '\u2044/evil.example',
  // A dot at the end is another origin.
  'http://{N}.:3000/', 'http://{N}./', 'http://{N}.',
  // Other ports and schemes.
  'http://{N}', 'http://{N}/', 'http://{N}:80', 'http://{N}:443', 'http://{N}:30000', 'http://{N}:300', 'http://{N}:3002', 'http://{N}:', 'http://{N}:0', 'http://{N}:65536', 'http://{N}:-1', 'http://{N}:evil', 'https://{H}', 'https://{N}', 'HTTPS://{H}/', 'ftp://{H}', 'ws://{H}', 'wss://{H}', 'file://{H}/etc/passwd', 'file:///etc/passwd', 'blob:{O}/x', 'filesystem:{O}/x', 'view-source:{O}', 'about:blank',
  'javascript:alert(1)', 'JaVaScRiPt:alert(1)', 'javascript://{H}/%0aalert(1)', 'javascript:{O}', 'java\nscript:alert(1)', '\u0001javascript:alert(1)', ' javascript:alert(1)', 'javascript&colon;alert(1)', 'vbscript:msgbox(1)', 'data:text/html,<script>alert(1)</script>', 'data:text/html;base64,PHNjcmlwdD4=', 'data://{H}/text/html,x', 'mailto:a@b.example', 'tel:1', 'intent://{H}#Intent;end', 'x-app://callback', 'http:javascript:alert(1)',
  // Schemes with the wrong number of slashes.
  'http:evil.example', 'http:/evil.example', 'http:///evil.example', 'http:////evil.example', 'https:evil.example', 'https:/evil.example', 'https:///evil.example', 'http:{H}', 'http:/{H}', 'http:///{H}', 'http:', 'http:/', 'http://', 'http:///', '://evil.example', ':evil.example', ':///{H}',
  // Addresses as numbers.
  'http://127.0.0.1', 'http://127.1:3001', 'http://0:3001', 'http://[::1]:3001', 'http://[::ffff:127.0.0.1]:3001', 'http://[::]', 'http://2130706433:3001', 'http://0x7f.1:3001', 'http://017700000001:3001', 'http://169.254.169.254/latest/meta-data', 'http://[fe80::1%25eth0]', 'http://[', 'http://]', 'http://[::1',
  // Paths that turn into a host when they are resolved again.
  '/..//evil.example', '/.//evil.example', '/a/..//evil.example', '/a/../..//evil.example', '/%2e%2e//evil.example', '/%2e//evil.example', '/./..//evil.example', '/.///evil.example', '{O}//evil.example', '{O}/..//evil.example', '{O}/.//evil.example', '{O}///evil.example', '/a/%2e%2e//evil.example', '/%2E%2E//evil.example', '/x/..//..//evil.example',
  // Neither a path nor an address.
  '', '.', '..', './', '../', 'evil.example', 'evil.example/{O}', 'settings', '?x=1', '#x', '?//evil.example', '#//evil.example', '@evil.example', ';@evil.example', '%2F%2Fevil.example', '%252F%252Fevil.example', '%5C%5Cevil.example', '%2Fpath', '%00', '<script>', '"', "'", '{H}', '{N}', '{H}/path', '*', 'null', 'undefined', '[object Object]', '{}', './/evil.example', '..//evil.example', './/evil.example/..',
  // Longer than anybody needs.
  `/${'a'.repeat(2_048)}`, `{O}/${'a'.repeat(4_000)}`, `//${'e'.repeat(300)}.example`, `/${'/'.repeat(500)}evil.example`, `http://${'a.'.repeat(200)}example`
]

/** Looks odd and stays at home: where it arrives, without the outcome. */
export const HARMLESS: Record<string, string> = {
  '/%2F/evil.example': '{O}/%2F/evil.example',
  '/%2Fevil.example': '{O}/%2Fevil.example',
  '/%2f%2fevil.example': '{O}/%2f%2fevil.example',
  '/%5Cevil.example': '{O}/%5Cevil.example',
  '/%252F%252Fevil.example': '{O}/%252F%252Fevil.example',
  '/%09/evil.example': '{O}/%09/evil.example',
  '/%0d%0aLocation:%20http://evil.example': '{O}/%0d%0aLocation:%20http://evil.example',
  '/%00': '{O}/%00',
  '/%': '{O}/%',
  '/http://evil.example': '{O}/http://evil.example',
  '/javascript:alert(1)': '{O}/javascript:alert(1)',
  '/@evil.example': '{O}/@evil.example',
  '/:@evil.example': '{O}/:@evil.example',
  '/.evil.example': '{O}/.evil.example',
  '/;//evil.example': '{O}/;//evil.example',
  '/a//evil.example': '{O}/a//evil.example',
  '/..': '{O}/',
  '/../../x': '{O}/x',
  '/%2e%2e/x': '{O}/x',
  '/?//evil.example': '{O}/?//evil.example',
  '/#//evil.example': '{O}/#//evil.example',
  '/?next=http://evil.example': '{O}/?next=http://evil.example',
  '/\u2215evil.example': '{O}/%E2%88%95evil.example',
  '/\u3002evil': '{O}/%E3%80%82evil',
  '{O}?x=//evil.example': '{O}/?x=//evil.example',
  '{O}#@evil.example': '{O}/#@evil.example',
  'http://:@{H}/': '{O}/',
  '{O}/@evil.example': '{O}/@evil.example',
  '{O}/%2F%2Fevil.example': '{O}/%2F%2Fevil.example',
  '/<script>alert(1)</script>': '{O}/%3Cscript%3Ealert(1)%3C/script%3E',
  '/"onload=x': '{O}/%22onload=x'
}

/** Legitimate targets: they arrive as they were given. */
export const LEGITIMATE: Record<string, string> = {
  '/': '{O}/',
  '/settings': '{O}/settings',
  '/settings/': '{O}/settings/',
  '/settings/connections': '{O}/settings/connections',
  '/settings?tab=jira': '{O}/settings?tab=jira',
  '/settings?tab=jira&x=a%20b&y=a+b': '{O}/settings?tab=jira&x=a%20b&y=a+b',
  '/settings#jira': '{O}/settings#jira',
  '/?a=1&a=2&empty=&flag': '{O}/?a=1&a=2&empty=&flag',
  '/a%2Fb/%E2%82%AC': '{O}/a%2Fb/%E2%82%AC',
  '/~me/a.b-c_d': '{O}/~me/a.b-c_d',
  '{O}': '{O}/',
  '{O}/': '{O}/',
  '{O}/oauth/jira': '{O}/oauth/jira',
  '{O}/oauth/confluence?x=1#top': '{O}/oauth/confluence?x=1#top'
}

/** Pieces that the generated targets are made of. */
export const PIECES: readonly string[] = [
  '/', '//', '\\', '\\\\', '.', '..', ':', '@', '#', '?', '%', '%2f', '%5c', '%2e', '%09', '%0d%0a', '%00', '\t', '\n', '\r', ' ', '\0', '\u00A0', '\u2028', '\uFEFF', '\u3002', '\uFF0F', '\u2215', '\uD800', '\uDC00',
  'http:', 'https:', 'HTTP:', 'javascript:', 'data:', 'http://', 'https://', 'http:/', '{O}', '{H}', '{N}', ':3000', ':80', 'evil.example', 'user:pass@', '[::1]', '127.0.0.1', 'a', 'x=1', '&', ';', '=', '[', ']', '<', '"'
]
