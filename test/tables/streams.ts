/**
 * Bytes on a connection, and the statuses they may be answered with, in order; an empty list: the connection ends without a
 * word. `GET /smuggled` stands where only somebody who misreads the framing sees a request.
 */
export type Stream = [name: string, bytes: string | Buffer, answers: number[][]]

const J = 'Content-Type: application/json\r\n'
const HIDDEN = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n'
const post = (headers: string, body = '') =>
  `POST /users HTTP/1.1\r\nHost: a\r\n${J}${headers}\r\n${body}`
const chunked = (body: string, coding = 'Transfer-Encoding: chunked\r\n') => post(coding, body)
const get = (headers: string, line = 'GET /users HTTP/1.1') =>
  `${line}\r\nHost: a\r\n${headers}\r\n`
const REFUSED = [[400]]
/** Refused, or ended: nobody can tell where the next request begins. */
const NOTHING_OR_REFUSED = [[400, 501, 0]]

/** Two ways to say where a body ends. */
const SMUGGLING: Stream[] = [
  [
    'CL.TE',
    post('Content-Length: 39\r\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${HIDDEN}`),
    REFUSED
  ],
  [
    'TE.CL',
    post('Transfer-Encoding: chunked\r\nContent-Length: 4\r\n', `26\r\n${HIDDEN}\r\n0\r\n\r\n`),
    REFUSED
  ],
  ['CL.0 on a GET', get(`Content-Length: ${HIDDEN.length}\r\n`) + HIDDEN, [[200]]],
  ['CL.0 and chunked on a GET', get('Transfer-Encoding: chunked\r\n') + '0\r\n\r\n', [[200]]],
  [
    'TE.TE: two codings',
    chunked(`0\r\n\r\n${HIDDEN}`, 'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n'),
    NOTHING_OR_REFUSED
  ],
  [
    'TE.TE: x after chunked',
    chunked(`0\r\n\r\n${HIDDEN}`, 'Transfer-Encoding: chunked, x\r\n'),
    NOTHING_OR_REFUSED
  ],
  [
    'TE.TE: xchunked',
    chunked(`0\r\n\r\n${HIDDEN}`, 'Transfer-Encoding: xchunked\r\n'),
    NOTHING_OR_REFUSED
  ],
  [
    'TE.TE: quoted',
    chunked(`0\r\n\r\n${HIDDEN}`, 'Transfer-Encoding: "chunked"\r\n'),
    NOTHING_OR_REFUSED
  ],
  [
    'TE.TE: a space before the colon',
    chunked(`0\r\n\r\n${HIDDEN}`, 'Transfer-Encoding : chunked\r\n'),
    REFUSED
  ],
  ['TE.TE: folded', chunked(`0\r\n\r\n${HIDDEN}`, 'Transfer-Encoding:\r\n chunked\r\n'), REFUSED],
  [
    'TE.TE: a tab',
    chunked(`0\r\n\r\n${HIDDEN}`, 'Transfer-Encoding:\tchunked\t\r\nContent-Length: 5\r\n'),
    REFUSED
  ],
  [
    'TE.TE: vertical tab',
    chunked(`0\r\n\r\n${HIDDEN}`, 'Transfer-Encoding: \vchunked\r\nContent-Length: 5\r\n'),
    NOTHING_OR_REFUSED
  ],
  [
    'TE.TE: in HTTP/1.0',
    `POST /users HTTP/1.0\r\nHost: a\r\n${J}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n${HIDDEN}`,
    REFUSED
  ],
  [
    'TE.TE: identity',
    chunked(`0\r\n\r\n${HIDDEN}`, 'Transfer-Encoding: identity\r\nContent-Length: 5\r\n'),
    NOTHING_OR_REFUSED
  ],
  [
    'TE.TE: a line of its own behind a bare LF',
    chunked(`0\r\n\r\n${HIDDEN}`, 'X: y\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n'),
    REFUSED
  ],
  [
    'TE.TE: with a NUL',
    chunked(`0\r\n\r\n${HIDDEN}`, 'Transfer-Encoding: chunked\0\r\nContent-Length: 5\r\n'),
    REFUSED
  ],
  [
    'TE.TE: underscore',
    chunked(`0\r\n\r\n${HIDDEN}`, 'Transfer_Encoding: chunked\r\nContent-Length: 40\r\n'),
    [[400, 422]]
  ],
  ['two lengths', post('Content-Length: 2\r\nContent-Length: 44\r\n', `{}${HIDDEN}`), REFUSED],
  ['the same length twice', post('Content-Length: 2\r\nContent-Length: 2\r\n', '{}'), REFUSED],
  ['lengths in a list', post('Content-Length: 2, 2\r\n', '{}'), REFUSED],
  ['a length with a plus', post('Content-Length: +2\r\n', '{}'), REFUSED],
  ['a negative length', post('Content-Length: -1\r\n'), REFUSED],
  ['a length in hexadecimal', post('Content-Length: 0x2\r\n', '{}'), REFUSED],
  ['a length with a point', post('Content-Length: 2.0\r\n', '{}'), REFUSED],
  ['a length without a number', post('Content-Length: \r\n', '{}'), REFUSED],
  ['a length beyond every number', post(`Content-Length: ${'9'.repeat(40)}\r\n`, '{}'), REFUSED],
  ['a length that wraps around', post('Content-Length: 18446744073709551618\r\n', '{}'), REFUSED],
  ['a length with a space inside', post('Content-Length: 1 0\r\n', '{}'), REFUSED]
]

/** Chunks that two readers would not count alike. */
const CHUNKS: Stream[] = [
  ['a chunk without a size', chunked('\r\n{}\r\n0\r\n\r\n'), NOTHING_OR_REFUSED],
  ['a chunk of a negative size', chunked('-2\r\n{}\r\n0\r\n\r\n'), NOTHING_OR_REFUSED],
  ['a chunk size in 0x', chunked('0x2\r\n{}\r\n0\r\n\r\n'), NOTHING_OR_REFUSED],
  [
    'a chunk size beyond every number',
    chunked(`${'f'.repeat(20)}\r\n{}\r\n0\r\n\r\n`),
    [[400, 413, 0]]
  ],
  [
    'a chunk that is longer than it says',
    chunked(`2\r\n{}xx\r\n0\r\n\r\n${HIDDEN}`),
    NOTHING_OR_REFUSED
  ],
  ['a chunk that ends in a bare LF', chunked(`2\n{}\n0\n\n${HIDDEN}`), NOTHING_OR_REFUSED],
  [
    'a chunk extension with a line break',
    chunked(`2;a=b\n{}\r\n0\r\n\r\n${HIDDEN}`),
    NOTHING_OR_REFUSED
  ],
  [
    'chunk extensions without end',
    chunked(`2;${'a'.repeat(20_000)}\r\n{}\r\n0\r\n\r\n`),
    [[400, 413, 422, 0]]
  ],
  ['a trailer that frames', chunked('2\r\n{}\r\n0\r\nContent-Length: 50\r\n\r\n'), [[422, 400, 0]]],
  [
    'a trailer with the next request',
    chunked(`2\r\n{}\r\n0\r\nX: ${HIDDEN.replaceAll('\r\n', ' ')}\r\n\r\n`),
    [[422]]
  ]
]

/** What a request may not look like, and what looks odd and is one. */
const FRAMING: Stream[] = [
  ['no host', 'GET /users HTTP/1.1\r\n\r\n', REFUSED],
  ['two hosts', 'GET /users HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', [[400, 200]]],
  ['an empty host', 'GET /users HTTP/1.1\r\nHost:\r\n\r\n', [[400, 200]]],
  [
    'a host that is an address of somewhere',
    'GET /users HTTP/1.1\r\nHost: evil.example/@a\r\n\r\n',
    [[400, 200]]
  ],
  ['obs-fold', get('X-A: a\r\n b: c\r\n'), [[400, 200]]],
  ['a fold in front of the first header', 'GET /users HTTP/1.1\r\n Host: a\r\n\r\n', REFUSED],
  ['a NUL in a header', get('X-A: a\0b\r\n'), REFUSED],
  ['a NUL in a name', get('X\0A: b\r\n'), REFUSED],
  ['a NUL in the path', get('', 'GET /users\0 HTTP/1.1'), REFUSED],
  ['a bare CR', get('X-A: a\rb\r\n'), REFUSED],
  ['bare LFs only', 'GET /users HTTP/1.1\nHost: a\n\n', REFUSED],
  ['a header without a colon', get('broken\r\n'), REFUSED],
  ['a header without a name', get(': x\r\n'), REFUSED],
  ['a name of brackets', get('X[]: x\r\n'), REFUSED],
  ['a name of other letters', Buffer.from(get('X-\xe9: x\r\n'), 'latin1'), REFUSED],
  ['a space before the colon', get('X-A : b\r\n'), REFUSED],
  ['a header of 20 kB', get(`X-A: ${'a'.repeat(20_000)}\r\n`), [[431]]],
  ['a name of 20 kB', get(`${'a'.repeat(20_000)}: 1\r\n`), [[431]]],
  ['a path of 20 kB', get('', `GET /${'a'.repeat(20_000)} HTTP/1.1`), [[431]]],
  [
    '5,000 headers',
    get(Array.from({ length: 5_000 }, (_, i) => `X-${i}: 1\r\n`).join('')),
    [[431]]
  ],
  [
    '1,500 short headers',
    get(Array.from({ length: 1_500 }, (_, i) => `a${i}:\r\n`).join('')),
    [[200, 431]]
  ],
  ['a cookie of 10 kB', get(`Cookie: ${'a=b; '.repeat(2_000)}\r\n`), [[200]]]
]

/** Other forms, other versions, other protocols. */
const FORMS: Stream[] = [
  ['absolute form', get('', 'GET http://evil.example/users HTTP/1.1'), [[200]]],
  [
    'absolute form with user info',
    get('', 'GET http://a:b@evil.example/users HTTP/1.1'),
    [[200, 400, 404]]
  ],
  [
    'absolute form of another scheme',
    get('', 'GET ftp://evil.example/users HTTP/1.1'),
    [[400, 404]]
  ],
  ['authority form', get('', 'CONNECT evil.example:443 HTTP/1.1'), [[0, 400, 404, 405]]],
  ['asterisk form', get('', 'OPTIONS * HTTP/1.1'), [[200, 204, 400, 404]]],
  ['a GET of the asterisk', get('', 'GET * HTTP/1.1'), [[200, 400, 404]]],
  ['two slashes', get('', 'GET //evil.example/users HTTP/1.1'), [[404]]],
  ['a fragment', get('', 'GET /users#x HTTP/1.1'), [[200, 400, 422]]],
  ['a backslash', get('', 'GET \\users HTTP/1.1'), [[400, 404]]],
  ['a space in the path', get('', 'GET /users x HTTP/1.1'), REFUSED],
  ['HTTP/0.9', 'GET /users\r\n', [[400, 408]]],
  ['HTTP/0.9 by name', get('', 'GET /users HTTP/0.9'), [[200, 400, 505]]],
  ['HTTP/1.0', 'GET /users HTTP/1.0\r\n\r\n', [[200]]],
  ['HTTP/1.2', get('', 'GET /users HTTP/1.2'), REFUSED],
  ['HTTP/2.0 by name', get('', 'GET /users HTTP/2.0'), [[200, 400, 505]]],
  [
    'the preface of HTTP/2',
    Buffer.from('505249202a20485454502f322e300d0a0d0a534d0d0a0d0a000000040000000000', 'hex'),
    REFUSED
  ],
  ['a greeting of TLS', Buffer.from('16030100a5010000a10303', 'hex'), REFUSED],
  ['a word of another protocol', 'EHLO evil.example\r\n', REFUSED],
  ['RTSP', get('', 'DESCRIBE /users RTSP/1.0'), REFUSED],
  ['an unknown method', get('', 'BREW /users HTTP/1.1'), REFUSED],
  ['a method in small letters', get('', 'get /users HTTP/1.1'), REFUSED],
  ['a method that is a path', get('', '/users GET HTTP/1.1'), REFUSED],
  [
    'an upgrade to h2c',
    get(
      'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n'
    ),
    [[200]]
  ],
  [
    'an upgrade to WebSocket',
    get(
      'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n'
    ),
    [[200, 400]]
  ],
  [
    'an expectation that nobody knows',
    post('Expect: miracles\r\nContent-Length: 2\r\n', '{}'),
    [[417, 422]]
  ],
  ['100-continue', post('Expect: 100-continue\r\nContent-Length: 2\r\n', '{}'), [[100], [422]]],
  [
    '100-continue with a body that is too long',
    post('Expect: 100-continue\r\nContent-Length: 70000\r\n'),
    [[100, 413], [413]]
  ],
  ['a TRACE', get('X-Secret: planted\r\n', 'TRACE /users HTTP/1.1'), [[404, 405]]]
]

/** Several requests at once: each is answered once, in turn. */
const PIPELINES: Stream[] = [
  [
    'three in turn',
    get('') + get('', 'GET /nothing HTTP/1.1') + get('', 'GET /%zz HTTP/1.1'),
    [[200], [404], [400]]
  ],
  ['a body between two', post('Content-Length: 2\r\n', '{}') + get(''), [[422], [200]]],
  ['chunks between two', chunked('2\r\n{}\r\n0\r\n\r\n') + get(''), [[422], [200]]],
  ['a refusal ends what comes behind it', get('X-A : b\r\n') + get(''), REFUSED],
  ['a hundred', get('', 'GET / HTTP/1.1').repeat(100), Array.from({ length: 100 }, () => [200])],
  ['lines between two', `\r\n\r\n${get('')}\r\n${get('')}`, [[200], [200]]],
  ['what was asked to be the last', get('Connection: close\r\n') + HIDDEN, [[200, 400]]]
]

export const STREAMS: readonly Stream[] = [
  ...SMUGGLING,
  ...CHUNKS,
  ...FRAMING,
  ...FORMS,
  ...PIPELINES
]
