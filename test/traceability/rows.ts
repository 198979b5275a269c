/** A threat or a promise. `docs/security.md` is generated from these and the titles of the tests. */
export interface TraceabilityRow {
  id: string
  title: string
  /**
   * Of a threat: its kind (STRIDE). Of a promise: 0 required before real tokens are stored, 1 in
   * production, 2 later.
   */
  rank: string
  /**
   * What no test proves, and why. A row with tests and `open` is proved in part; one without either fails
   * the build.
   */
  open?: string
  /** Why no mutation (test/mutations) breaks what the tests prove. */
  unmutated?: string
}

const defineRow = (
  id: string,
  rank: string,
  title: string,
  open?: string,
  unmutated?: string
): TraceabilityRow => ({
  id,
  rank,
  title,
  ...(open === undefined ? {} : { open }),
  ...(unmutated === undefined ? {} : { unmutated })
})

export const THREATS: readonly TraceabilityRow[] = [
  defineRow(
    'T01',
    'Spoofing',
    "A caller without a credential reads or changes other people's data"
  ),
  defineRow('T02', 'Spoofing', "A victim's browser finishes an attacker's login (login CSRF)"),
  defineRow('T03', 'Spoofing', "A stolen code is injected into another person's login"),
  defineRow('T04', 'Spoofing', 'Tokens are stored for the wrong user'),
  defineRow('T05', 'Spoofing', 'A caller forges forwarding or identity headers'),
  defineRow('T06', 'Spoofing', 'A forged Host header redirects callbacks and links'),
  defineRow('T07', 'Spoofing', 'A session is fixed, guessed, or used after it expired'),
  defineRow('T08', 'Spoofing', 'An unsigned JWT, or one for another audience, is accepted'),
  defineRow('T09', 'Tampering', "Swapped database rows give one person another's token"),
  defineRow('T10', 'Tampering', 'Modified or truncated ciphertext decrypts'),
  defineRow('T11', 'Tampering', 'A body sets fields that callers must not set (mass assignment)'),
  defineRow('T12', 'Tampering', 'A value of another type or spelling is accepted (type juggling)'),
  defineRow('T13', 'Tampering', 'A body pollutes object prototypes'),
  defineRow('T14', 'Tampering', 'Text is injected into SQL, JQL or CQL'),
  defineRow(
    'T15',
    'Tampering',
    'Proxy and service split a byte stream differently (request smuggling)',
    'Tested through nginx, HAProxy and Caddy, not through Traefik.'
  ),
  defineRow('T16', 'Tampering', 'Two concurrent refreshes store a dead token'),
  defineRow('T17', 'Tampering', 'An id changes the path of a call to Atlassian (path traversal)'),
  defineRow('T18', 'Repudiation', 'Nobody can prove who connected, read or disconnected'),
  defineRow('T19', 'Repudiation', 'A value forges or splits log lines'),
  defineRow('T20', 'Disclosure', 'A token appears in a log line, an error or a response'),
  defineRow('T21', 'Disclosure', 'A token is readable in database files or backups'),
  defineRow(
    'T22',
    'Disclosure',
    'A code, state or token remains in a URL, the history or a Referer'
  ),
  defineRow('T23', 'Disclosure', "An id gives access to another person's objects"),
  defineRow(
    'T24',
    'Disclosure',
    'Creating users reveals which addresses are known',
    'By design: 201 or 200 tells a service key with `users:write`, whose back end knows its users.'
  ),
  defineRow('T25', 'Disclosure', 'Stacks, SQL, paths or upstream bodies appear in a response'),
  defineRow('T26', 'Disclosure', 'A setting that front ends publish contains the secret'),
  defineRow('T27', 'Disclosure', 'A login redirects to a foreign site (open redirect)'),
  defineRow('T28', 'Disclosure', "The service calls an attacker's address (SSRF)"),
  defineRow('T29', 'Disclosure', 'Scripts of other sites read responses'),
  defineRow(
    'T30',
    'Disclosure',
    'Comparison times reveal a secret',
    'Times are not measured. Secrets have 256 bits and are looked up by hash.'
  ),
  defineRow(
    'T31',
    'Disclosure',
    'A stolen backup is usable',
    undefined,
    'Its test takes two minutes; the mutations of B1 break what it relies on.'
  ),
  defineRow('T32', 'Denial', 'Slow or huge requests block the service'),
  defineRow('T33', 'Denial', 'One request blocks the event loop'),
  defineRow('T34', 'Denial', 'Abandoned logins, jobs or log lines accumulate'),
  defineRow(
    'T35',
    'Denial',
    'A slow or unavailable Atlassian makes the API unavailable',
    'The latency of stored copies while every call to Atlassian takes 20 s is not measured.'
  ),
  defineRow(
    'T36',
    'Denial',
    'All tokens are refreshed at the same time',
    'Tested with tens of connections, not with 10,000 that are due at once.'
  ),
  defineRow('T37', 'Denial', "One person's load uses up shared capacity"),
  defineRow('T38', 'Elevation', 'A caller chooses scopes'),
  defineRow('T39', 'Elevation', 'Internal pages are reachable from outside'),
  defineRow(
    'T40',
    'Elevation',
    'A package does harm when it is installed or loaded',
    "The age of a release is not enforced, and Node's permission model is an option of the start command."
  ),
  defineRow('T41', 'Elevation', 'A secret is missing, weak or well known'),
  defineRow('T42', 'Elevation', 'A restored old database uses outdated tokens')
]

export const PROMISES: readonly TraceabilityRow[] = [
  defineRow(
    'A1',
    '0',
    'The state of a login is created by the service, unguessable, and stored as a hash'
  ),
  defineRow('A2', '0', 'The state is bound to product and browser, and single-use'),
  defineRow('A3', '0', 'Concurrent callbacks are exchanged once each'),
  defineRow('A4', '0', 'No secret has a working default'),
  defineRow('A5', '0', 'No login redirects away from the front end'),
  defineRow('A6', '0', 'Redirects contain no secrets and are not cached'),
  defineRow('A7', '0', 'Callback URL and scopes come from the settings only'),
  defineRow(
    'A8',
    '0',
    'Tokens belong to the user of the login, and another account needs a confirmation'
  ),
  defineRow(
    'A9',
    '1',
    'PKCE as a setting',
    'Not implemented: Atlassian does not document PKCE (docs/reference/atlassian.md#14-pkce).'
  ),
  defineRow('A10', '0', 'Concurrent callers cause one refresh'),
  defineRow('A11', '0', 'A crash during a refresh costs no consent'),
  defineRow('A12', '0', 'A dead or suspended lease holder is replaced and overwrites nothing'),
  defineRow('A13', '1', 'Tokens are refreshed before they expire, and kept alive while unused'),
  defineRow('A14', '0', 'Only a final error ends a consent'),
  defineRow('A15', '1', 'Malformed responses to a refresh do no harm'),
  defineRow('B1', '0', 'No secret is readable at rest'),
  defineRow('B2', '0', 'A ciphertext decrypts in its own row and column only'),
  defineRow('B3', '0', 'A modified ciphertext never decrypts'),
  defineRow('B4', '0', 'No nonce repeats, and an exhausted key is retired'),
  defineRow('B5', '0', 'Keys are rotated while the service runs'),
  defineRow(
    'B6',
    '1',
    'A master key is rotated without re-encrypting data',
    'Not implemented: keys encrypt tokens directly, and rotation re-encrypts them (B5).'
  ),
  defineRow(
    'B7',
    '0',
    'With a wrong or missing key the service does not start, and nothing is stored in clear text'
  ),
  defineRow(
    'B8',
    '1',
    'Keys come from a setting or a file, and weak ones are refused',
    'No external command or KMS is built in; both fit behind src/vault/source.ts.'
  ),
  defineRow(
    'B9',
    '0',
    "Clear-text tokens of the earlier service's database do not survive an import",
    "Not implemented: nothing imports the earlier service's database. People connect again."
  ),
  defineRow('B10', '0', 'No secret appears in any output'),
  defineRow('B11', '1', 'The logger writes a line for any value'),
  defineRow('B12', '1', 'Every action on tokens is audited, or fails'),
  defineRow('B13', '1', 'Disconnected and deleted data is gone'),
  defineRow('C1', '0', 'Invalid input is refused with a reason and not stored'),
  defineRow('C2', '0', 'Every response to any request matches the OpenAPI document'),
  defineRow('C3', '0', 'No value in a body is coerced'),
  defineRow('C4', '0', 'Each object has one path'),
  defineRow('C5', '0', 'Sizes are limited'),
  defineRow('C6', '0', 'Access rules are declared and enforced'),
  defineRow('C7', '0', "Another person's object looks like a missing one"),
  defineRow('C8', '0', 'Malformed headers do no harm'),
  defineRow('C9', '1', 'Malformed bytes on a socket do no harm'),
  defineRow('C10', '1', 'Calls are rate-limited'),
  defineRow('C11', '0', "Other sites can neither read nor write with a person's cookie"),
  defineRow('C12', '0', 'Every response has the security headers, and none that reveal versions'),
  defineRow('C13', '0', 'Outbound calls go to the configured hosts only'),
  defineRow('C14', '1', 'No text makes a regular expression slow'),
  defineRow('D1', '0', 'Acknowledged writes survive a kill'),
  defineRow('D2', '0', 'Acknowledged writes are on disk'),
  defineRow(
    'D3',
    '1',
    'Acknowledged writes survive a power cut',
    'Not tested; D2 covers it indirectly: a commit is synced before it is acknowledged.'
  ),
  defineRow('D4', '0', 'Concurrent upserts make one row'),
  defineRow('D5', '0', 'A lock of another process does not block reads'),
  defineRow(
    'D6',
    '1',
    'A full or read-only disk is reported and survived',
    'Tested where a file system may be mounted (test/store/sqlite-file.test.ts).'
  ),
  defineRow('D7', '1', 'An outage of PostgreSQL is reported, and recovery is automatic'),
  defineRow(
    'D8',
    '0',
    'Faults of Atlassian leave no trace in the copies',
    'The mixed faults last seconds in each test run, not an hour.'
  ),
  defineRow('D9', '0', 'A sync survives the death of its worker'),
  defineRow(
    'D10',
    '1',
    'A wrong clock does no harm',
    undefined,
    'The corrected clock and the overlap of the window protect it, and either is enough.'
  ),
  defineRow('D11', '0', 'A backup under load can be restored'),
  defineRow(
    'D12',
    '1',
    'A restored old backup tries each connection once, and ends no valid consent'
  ),
  defineRow(
    'D13',
    '0',
    'Migrations are applied once, or not at all',
    "Nothing imports the earlier service's database."
  ),
  defineRow(
    'D14',
    '1',
    'The service runs for a day without growing',
    'A day of load is not tested; only the version of the SQLite library is checked.',
    'The version is that of a package.'
  ),
  defineRow('E1', '0', 'The service stops without failing requests'),
  defineRow('E2', '0', 'Wrong settings stop the start, each of them named'),
  defineRow('E3', '0', 'Everything has a timeout'),
  defineRow('E4', '1', 'Health checks report the true state and nothing else'),
  defineRow(
    'E5',
    '1',
    'Excess load is refused early',
    undefined,
    'Its tests fill a machine with load for minutes.'
  ),
  defineRow('E6', '1', 'One id correlates responses and log lines', 'There are no traces.'),
  defineRow(
    'E7',
    '1',
    'Metrics count what happens without personal data',
    'Not implemented: there is no metrics endpoint.'
  ),
  defineRow('E8', '1', 'Every log line is one line of JSON'),
  defineRow(
    'E9',
    '0',
    'Packages are few, known, permissively licensed and locked',
    'Signatures and advisories are checked on demand (docs/dependencies.md); release age is not enforced.'
  ),
  defineRow(
    'E10',
    '1',
    'The build is verifiable',
    'There is a bill of materials; provenance and a Scorecard need a publishing pipeline.'
  ),
  defineRow(
    'E11',
    '1',
    'The container has minimal content and rights',
    'Not implemented: there is no container image.'
  ),
  defineRow('E12', '0', 'Every threat and promise has a test')
]
