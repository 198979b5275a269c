/**
 * Open redirects by the trick they play, each kind put together from its parts. `{O}` is the front end's origin, `{H}` its
 * host with port, `{N}` its host name, `{E}` one of the places it would lead to.
 */
export const ELSEWHERE: readonly string[] = [
  'evil.example',
  'EVIL.example',
  'evil.example:3000',
  'evil.example.',
  'xn--e1awd7f.example',
  '198.51.100.7',
  '3325256711',
  '0xc6336407',
  '0306.063.0144.07',
  '[2001:db8::7]',
  '[::ffff:198.51.100.7]',
  'evil.example%2f',
  '{N}.evil.example',
  '{N}-evil.example',
  'evil.example:80'
]

const TAILS = [
  '',
  '/',
  '/{H}',
  '/{O}',
  '?{O}',
  '#{O}',
  '/?next={O}',
  '/..',
  '//',
  '/%2e%2e',
  '/\\',
  '@{H}',
  ':3000/',
  ';{H}',
  '/%00'
]

function crossed(...parts: Array<readonly string[]>): string[] {
  return parts.reduce<string[]>(
    (made, part) => made.flatMap((start) => part.map((end) => start + end)),
    ['']
  )
}

const withHost = (starts: readonly string[], tails = TAILS): string[] =>
  crossed(starts, ELSEWHERE, tails)
const SCHEMES = ['http:', 'https:', 'HTTP:', 'hTtPs:']
const BLANKS = [
  '\t',
  '\n',
  '\r',
  '\r\n',
  ' ',
  '\0',
  '\u0001',
  '\u000b',
  '\u000c',
  '\u001f',
  '\u0085',
  '\u00a0',
  '\u1680',
  '\u2003',
  '\u2028',
  '\u2029',
  '\u3000',
  '\ufeff'
]
const LOOKALIKES = [
  '\u2044',
  '\u2215',
  '\uff0f',
  '\u29f8',
  '\u3002',
  '\uff0e',
  '\uff61',
  '\u2024',
  '\uff1a',
  '\ua789',
  '\uff3c',
  '\u2216',
  '\uff20'
]

export const KINDS: Record<string, readonly string[]> = {
  'another address': withHost(crossed(SCHEMES, ['//'])),
  'a host without a scheme': withHost(['//', '///', '////', '/////'], TAILS.slice(0, 8)),
  'backslashes for slashes': withHost(
    ['/\\', '\\/', '\\\\', '/\\/', '\\//', '//\\', '\\', 'http:\\\\', 'http:/\\', 'https:\\/'],
    TAILS.slice(0, 3)
  ),
  'slashes missing or too many': withHost(
    crossed(SCHEMES, ['', '/', '///', '////', '/\\/']),
    TAILS.slice(0, 2)
  ),
  'characters that browsers drop': [
    ...crossed(BLANKS, ['//', 'http://', '/\\'], ELSEWHERE.slice(0, 3)),
    ...crossed(['/'], BLANKS, ['/', '\\'], ELSEWHERE.slice(0, 2)),
    ...crossed(
      ['ht', 'http:', 'http:/'],
      BLANKS.slice(0, 5),
      ['tp://', '//', '/'],
      ELSEWHERE.slice(0, 2)
    )
  ],
  'user info in front': [
    ...crossed(
      SCHEMES,
      ['//'],
      [
        '{H}',
        '{N}',
        'a:b',
        '{H}%40',
        '{N}:3000',
        '{N}%3a3000',
        '{H}%2f',
        '{H}%5c',
        '{H}%23',
        '{O}',
        'user'
      ],
      ['@'],
      ELSEWHERE.slice(0, 6)
    ),
    ...crossed(['{O}@', '{O}:x@', '{O}%40', '{O}\\@'], ELSEWHERE)
  ],
  'credentials at home': crossed(
    SCHEMES,
    ['//'],
    [
      'a@',
      'a:b@',
      ':b@',
      'a:@',
      '%00@',
      'evil.example@',
      'evil.example:80@',
      '//@',
      '@',
      'a@b@',
      '\u00e9@',
      '%2f@',
      'evil.example%2f@'
    ],
    ['{H}', '{N}', '{H}/', '{H}/x?y#z']
  ),
  'a name that begins like home': crossed(
    SCHEMES,
    ['//'],
    ['{N}', '{H}'],
    [
      '.evil.example',
      '-evil.example',
      '_evil.example',
      '%2eevil.example',
      '%00.evil.example',
      '%0d.evil.example',
      '%09.evil.example',
      '%23.evil.example',
      ',evil.example',
      ';evil.example',
      '&evil.example',
      '!evil.example',
      '\u3002evil.example',
      '.evil.example:3000',
      '..evil.example',
      'evil',
      '%252eevil.example',
      '0',
      '\u00ad.evil.example',
      '\u200d.evil.example',
      '@evil.example',
      '^evil.example',
      '`evil.example',
      '|evil.example',
      '{}.evil.example',
      '*evil.example',
      '~evil.example',
      "'evil.example"
    ]
  ),
  'a name that ends like home': crossed(
    SCHEMES,
    ['//'],
    [
      'evil',
      'evil-',
      'evil_',
      'sub.',
      'www.',
      'a.b.c.',
      '.',
      '-',
      '%2e',
      'evil%2e',
      'evil.example%2f.',
      'evil.example%5c.',
      'evil\u3002',
      'xn--'
    ],
    ['{N}', '{H}', '{N}/', '{H}/x']
  ),
  'another port or none': crossed(
    SCHEMES,
    ['//{N}'],
    [
      '',
      ':',
      ':0',
      ':1',
      ':80',
      ':443',
      ':300',
      ':30000',
      ':3002',
      ':08080',
      ':65535',
      ':65536',
      ':99999',
      ':-1',
      ':+1',
      ':evil',
      ':%33000',
      ':3000:80',
      '.:3000',
      '.'
    ],
    ['', '/', '/x', '?x', '#x']
  ),
  'another scheme': crossed(
    [
      'ftp',
      'ws',
      'wss',
      'file',
      'blob',
      'filesystem',
      'view-source',
      'data',
      'javascript',
      'JaVaScRiPt',
      'vbscript',
      'mailto',
      'tel',
      'intent',
      'about',
      'ssh',
      'gopher',
      'jar',
      'x-app',
      'chrome',
      'livescript',
      'mhtml',
      'res',
      'dict',
      'ldap'
    ],
    [
      ':',
      '://',
      ':/',
      '://evil.example/',
      ':{O}',
      '://{H}',
      ':alert(1)//',
      '://{H}/%0aalert(1)',
      ':text/html,<script>alert(1)</script>'
    ]
  ),
  'a scheme in pieces': crossed(
    ['java', 'data', 'vb', 'h'],
    [...BLANKS, '%09', '%0a', '&colon;', '\u200b'],
    ['script:alert(1)', ':text/html,x', 'ttp://evil.example']
  ),
  'paths that become a host': crossed(
    ['/', '/x/', '{O}/', '/a/b/'],
    ['..', '.', '%2e%2e', '%2e', '.%2e', '%2E.', '../..', './..', '..;', '%252e%252e'],
    ['//', '/\\', '///', '/%09/', '//%2f'],
    ELSEWHERE.slice(0, 3)
  ),
  'letters that look alike': [
    ...crossed(LOOKALIKES, LOOKALIKES, ['evil.example']),
    ...crossed(['http:', '', '{O}'], LOOKALIKES, ['evil.example', '{H}'])
  ],
  'addresses in other numbers': crossed(
    SCHEMES,
    ['//'],
    [
      '127.0.0.1',
      '127.1',
      '0',
      '0.0.0.0',
      '2130706433',
      '0x7f000001',
      '017700000001',
      '0x7f.1',
      '127.0.0.1.',
      '[::1]',
      '[::]',
      '[0:0:0:0:0:0:0:1]',
      '[::ffff:7f00:1]',
      '[fe80::1%25eth0]',
      '169.254.169.254',
      '0xa9fea9fe',
      '2852039166',
      '10.0.0.1',
      '192.168.0.1',
      '[fd00::1]',
      '[',
      '[::1',
      ']',
      '1.2.3',
      '256.256.256.256',
      '1.1.1.1.1',
      '\u2460\u2461\u2466.0.0.1'
    ],
    ['', '/latest/meta-data', ':22']
  ),
  'another header': crossed(
    ['/x', '{O}/x', '//evil.example', '/', '{O}'],
    ['\r\n', '\n', '\r', '\r\n\r\n', '\u560a\u560d', '\u2028', '\0\r\n', '\u0085'],
    [
      'Location: http://evil.example',
      'Set-Cookie: a=b',
      '<script>alert(1)</script>',
      'Refresh: 0;url=//evil.example',
      ' X: y'
    ]
  ),
  'encoded once and more': crossed(
    [
      '%2f%2f',
      '%2F%2F',
      '%252f%252f',
      '%5c%5c',
      '%5C%2f',
      '%09//',
      '%0a//',
      '%00//',
      '%68ttp://',
      'http%3a//',
      'http%3A%2F%2F',
      '%2e//',
      '%E3%80%82',
      '%ef%bc%8f%ef%bc%8f',
      '%c0%af%c0%af',
      '\\u002f\\u002f',
      '&#47;&#47;',
      '\\x2f\\x2f'
    ],
    ELSEWHERE,
    ['']
  ),
  'neither path nor address': crossed(
    ['', '.', '..', '?', '#', '@', ';', ':', '*', '!', '~', '-', '_', '|', '&'],
    [
      'evil.example',
      '{H}',
      '{N}',
      '//evil.example',
      'x',
      '\\evil.example',
      '{H}/x',
      ':80',
      'null',
      '[object Object]',
      '{}',
      '"',
      "'",
      '<x>',
      '$'
    ]
  )
}
