/** What a caller's state may say of the user, where users 1 (ada@example.com) and 2 (bob@example.com) exist. */

/** Who gets the connection. */
export const HINTS: ReadonlyArray<[state: string | undefined, userId: number]> = [
  [undefined, 1],
  ['kc-oauth', 1],
  ['opaque:2', 1],
  ['2', 1],
  ['"2"', 1],
  ['[2]', 1],
  ['null', 1],
  ['{}', 1],
  ['{"user_id":null}', 1],
  ['{"user":2}', 1],
  ['{"next":"/x"}', 1],
  ['{', 1],
  ['userid=2', 1],
  ['USER_ID=2', 1],
  ['tab=2&user=2', 1],
  ['{"user_id":2}', 2],
  ['{"user_id":"2"}', 2],
  [' { "user_id" : 2 , "next" : "/x" } ', 2],
  ['{"email":"bob@example.com"}', 2],
  ['{"email":"BOB@Example.COM"}', 2],
  ['{"user_id":2,"email":"ada@example.com"}', 2],
  ['{"user_id":null,"email":"bob@example.com"}', 2],
  ['user_id=2', 2],
  ['uid=2', 2],
  ['?user_id=2', 2],
  ['next=%2Fx&user_id=2&tab=1', 2],
  ['email=bob@example.com', 2],
  ['email=bob%40example.com', 2],
  ['email=Bob%40Example.com&next=x', 2],
  ['user_id:2', 2],
  ['uid:2', 2],
  ['email:bob@example.com', 2],
  ['email:new@example.com', 3],
  ['{"email":"newer@example.com"}', 4],
  ['email=j%C3%BCrgen%40b%C3%BCcher.example', 5],
  ['email:jürgen@bücher.example', 5],
  ['email=first.last%2Btag%40example.local', 6]
]

/** Names somebody who is not there. */
export const NOBODY: readonly string[] = [
  '{"user_id":99}', '{"user_id":0}', '{"user_id":-1}', '{"user_id":1.5}', '{"user_id":1e300}', '{"user_id":9007199254740993}', '{"user_id":""}', '{"user_id":"01"}', '{"user_id":" 1"}', '{"user_id":"0x1"}', '{"user_id":"1e0"}', '{"user_id":true}', '{"user_id":[1]}', '{"user_id":{"id":1}}', '{"user_id":{"toString":1,"valueOf":1}}',
  'user_id=99', 'user_id=0', 'user_id=', 'user_id=+1', 'user_id=-1', 'user_id=1.0', 'user_id=01', 'user_id=9007199254740993', 'user_id=9223372036854775808', 'user_id=ada', 'user_id=1;drop table users', 'uid=99', 'uid=', 'user_id:99', 'user_id:', 'user_id: 1', 'user_id:1 ', 'uid:x', 'user_id:١',
  'email=', 'email=@@@', 'email=ada', 'email=ada@', 'email=@example.com', 'email=Ada <ada@example.com>', 'email=ada@example', 'email=a b@example.com', 'email=a@b@example.com', 'email=ada@example.com\n', 'email=ada@exa mple.com', 'email:@@@', 'email:', 'email:ada@example.com,bob@example.com', '{"email":""}', '{"email":7}', '{"email":["ada@example.com"]}', '{"email":"\\ud800@example.com"}', '{"email":"a\\u0000@example.com"}', `email:${'a'.repeat(65)}@example.com`
]

/** States that have to come back as they were. */
export const VERBATIM: readonly string[] = [
  'kc-oauth', 'a b', ' a ', 'a+b', 'a%2Bb', '%', '%%', '%zz', 'a&b=c', 'a=b&status=forged&user_id=1', 'a#b', '#', '?', '/', '\\', '"', "'", '<b>', 'ключ', '鍵', 'é', 'e\u0301', '😀', '\u202Egnp', 'a\tb', 'a\nb', 'a\r\nb', '{"next":"/x?y=1&z=ü#q"}', '\u007F', '\uFEFF', '\uFFFD', '.'.repeat(512), '+', '%20', 'true', '0'
]
