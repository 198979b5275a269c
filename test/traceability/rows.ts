/** What each of them is about, in a few words. `docs/security.md` is made of this table and of the titles of the tests. */
export interface TraceabilityRow {
  id: string
  title: string
  /** For a threat its kind (STRIDE), for a promise how soon it is needed: 0 before real tokens, 1 for production, 2 to be best. */
  rank: string
  /** What is not proved, and why. A row with tests and this is proved in part; one without tests and without this fails the build. */
  open?: string
}

const defineRow = (id: string, rank: string, title: string, open?: string): TraceabilityRow => ({
  id,
  rank,
  title,
  ...(open === undefined ? {} : { open })
})

export const THREATS: readonly TraceabilityRow[] = [
  defineRow('T01', 'Spoofing', 'Somebody without a credential reads or changes what is not theirs'),
  defineRow('T02', 'Spoofing', "A victim's browser is made to finish an attacker's login"),
  defineRow('T03', 'Spoofing', "A stolen code is put into another person's login"),
  defineRow('T04', 'Spoofing', 'Tokens end up with the wrong user'),
  defineRow(
    'T05',
    'Spoofing',
    'Headers of a caller pretend to come from a proxy, or name somebody else'
  ),
  defineRow('T06', 'Spoofing', 'A forged Host leads callbacks and links elsewhere'),
  defineRow('T07', 'Spoofing', 'A session is planted, guessed, or outlives its end'),
  defineRow(
    'T08',
    'Spoofing',
    'A JWT that nobody signed, or signed for something else, is believed'
  ),
  defineRow('T09', 'Tampering', "Rows exchanged in the database give one person another's token"),
  defineRow('T10', 'Tampering', 'Changed or shortened ciphertext opens'),
  defineRow('T11', 'Tampering', "A body sets fields that are not the caller's to set"),
  defineRow('T12', 'Tampering', 'Another type or spelling of a value passes as the value'),
  defineRow('T13', 'Tampering', 'Keys of the prototype change every object'),
  defineRow('T14', 'Tampering', 'Text becomes part of SQL, JQL or CQL'),
  defineRow(
    'T15',
    'Tampering',
    'One stream is two requests to the one, and one to the other',
    'The proxies of the tests are plain Node ones: nginx, Caddy and HAProxy are not at hand where the tests run.'
  ),
  defineRow('T16', 'Tampering', 'Two refresh at once and a dead token is stored'),
  defineRow('T17', 'Tampering', 'An id walks up the path of a call to Atlassian'),
  defineRow('T18', 'Repudiation', 'Nobody can tell who connected, read or disconnected'),
  defineRow('T19', 'Repudiation', 'A value forges or splits log lines'),
  defineRow('T20', 'Disclosure', 'A token is in a log line, an error or an answer'),
  defineRow('T21', 'Disclosure', 'A token is readable in the files of the database or in a backup'),
  defineRow(
    'T22',
    'Disclosure',
    'Code, state or token stays in an address, the history or a Referer'
  ),
  defineRow('T23', 'Disclosure', "An id opens another person's things"),
  defineRow(
    'T24',
    'Disclosure',
    'Creating users tells whose address is known',
    'A service key with `users:write` is told by 201 or 200, on purpose: the original answers so, and the back end behind the key knows its people.'
  ),
  defineRow('T25', 'Disclosure', 'Stacks, SQL, paths or upstream bodies are in an answer'),
  defineRow('T26', 'Disclosure', 'A setting that front ends publish holds the secret'),
  defineRow('T27', 'Disclosure', 'A login ends on a foreign site'),
  defineRow('T28', 'Disclosure', "The service is made to call an address of somebody's choice"),
  defineRow('T29', 'Disclosure', 'Scripts of any site read answers'),
  defineRow(
    'T30',
    'Disclosure',
    'The time of a comparison tells a secret',
    'No statistic of times is taken: on a machine that is shared it would measure the machine. Secrets of 256 bits are looked up by their hash.'
  ),
  defineRow('T31', 'Disclosure', 'A stolen backup is worth something'),
  defineRow('T32', 'Denial', 'Slow or huge requests hold the service'),
  defineRow('T33', 'Denial', 'One request stops the event loop'),
  defineRow('T34', 'Denial', 'Abandoned logins, jobs or log lines pile up'),
  defineRow(
    'T35',
    'Denial',
    'Atlassian is slow or away, and takes the API along',
    'How fast stored copies are served while every call to Atlassian takes 20 s is not measured.'
  ),
  defineRow(
    'T36',
    'Denial',
    'All tokens are refreshed at the same moment',
    'Shown for tens of connections, not for 10,000 that are due at once.'
  ),
  defineRow('T37', 'Denial', "One person's load uses up what everybody shares"),
  defineRow('T38', 'Elevation', 'A caller chooses scopes'),
  defineRow('T39', 'Elevation', 'Inner pages are reachable from outside'),
  defineRow(
    'T40',
    'Elevation',
    'A package does harm when it is installed or loaded',
    "The age of a release is not enforced, and Node's permission model is not used."
  ),
  defineRow('T41', 'Elevation', 'A secret is missing, weak or well known'),
  defineRow('T42', 'Elevation', 'An old database that is restored uses what is no longer good')
]

export const PROMISES: readonly TraceabilityRow[] = [
  defineRow('A1', '0', 'The state of a login is made here, unguessable, and stored as a hash'),
  defineRow('A2', '0', 'It is bound to product and browser, and works once'),
  defineRow('A3', '0', 'Callbacks at the same time are exchanged once each'),
  defineRow('A4', '0', 'No secret has a default that works'),
  defineRow('A5', '0', 'No login leads away from the front end'),
  defineRow('A6', '0', 'Redirects are clean: nothing secret in them, kept by nobody'),
  defineRow('A7', '0', 'Callback address and scopes come from the settings alone'),
  defineRow(
    'A8',
    '0',
    'Tokens belong to whom the login was for, and another account needs a confirmation'
  ),
  defineRow(
    'A9',
    '1',
    'PKCE as a setting',
    'Not built: Atlassian does not document PKCE for its apps.'
  ),
  defineRow('A10', '0', 'Whoever needs a refresh at once, it happens once'),
  defineRow('A11', '0', 'A crash in the middle of a refresh costs no consent'),
  defineRow('A12', '0', 'Whoever died or froze with the lease is replaced and overwrites nothing'),
  defineRow(
    'A13',
    '1',
    'Tokens are replaced before they end, and kept alive when nobody uses them'
  ),
  defineRow('A14', '0', 'Only an answer that is final ends a consent'),
  defineRow('A15', '1', 'Odd answers to a refresh do no harm'),
  defineRow('B1', '0', 'Nothing secret is readable where data lies'),
  defineRow('B2', '0', 'A ciphertext opens in its own place only'),
  defineRow('B3', '0', 'A changed ciphertext never opens'),
  defineRow('B4', '0', 'No nonce comes twice, and a key that is worn out is retired'),
  defineRow('B5', '0', 'Keys are replaced while the service works'),
  defineRow(
    'B6',
    '1',
    'A master key over the data keys is replaced without sealing anew',
    'Not built: each key in VAULT_KEYS seals tokens itself, and replacing one seals them anew (B5). There is no master key to wrap others.'
  ),
  defineRow(
    'B7',
    '0',
    'With a wrong or missing key it does not start, and nothing is ever stored in clear text'
  ),
  defineRow(
    'B8',
    '1',
    'Keys come from a setting or a file, and bad ones are refused',
    'No external command and no KMS is built in; both fit behind src/vault/source.ts.'
  ),
  defineRow(
    'B9',
    '0',
    "Plain tokens of the original's database do not survive an import",
    "Not built: nothing imports the original's database. People connect anew."
  ),
  defineRow('B10', '0', 'No secret is in anything that is put out'),
  defineRow('B11', '1', 'The logger writes a line whatever it is given'),
  defineRow('B12', '1', 'What is done with tokens is in the audit trail, or not done'),
  defineRow('B13', '1', 'What is ended or deleted is gone'),
  defineRow('C1', '0', 'Bad input is refused with a reason and not stored'),
  defineRow('C2', '0', 'Whatever is sent, every answer is one that the description has'),
  defineRow('C3', '0', 'Nothing in a body is turned into another type'),
  defineRow('C4', '0', 'Each thing has one address'),
  defineRow('C5', '0', 'Sizes have limits'),
  defineRow('C6', '0', 'Who may call what is declared, and holds'),
  defineRow('C7', '0', "What is another person's is as good as missing"),
  defineRow('C8', '0', 'Odd headers do no harm'),
  defineRow('C9', '1', 'Odd bytes on a socket do no harm'),
  defineRow('C10', '1', 'Calls have a rate'),
  defineRow('C11', '0', "Other sites can neither read nor write with a person's cookie"),
  defineRow('C12', '0', 'Every answer carries the headers that protect, and none that tell'),
  defineRow('C13', '0', 'Calls go to the configured hosts only'),
  defineRow('C14', '1', 'No text makes a pattern slow'),
  defineRow('D1', '0', 'What was acknowledged survives a kill'),
  defineRow('D2', '0', 'What was acknowledged is on the disk'),
  defineRow(
    'D3',
    '1',
    'It survives a power cut',
    'Needs a file system that forgets what was not synced. What stands for it is D2: every commit is synced before it is acknowledged.'
  ),
  defineRow('D4', '0', 'Upserts at the same time make one row'),
  defineRow('D5', '0', "Somebody else's lock does not stop reading"),
  defineRow(
    'D6',
    '1',
    'A full or read-only disk is told and survived',
    'Not run: needs a file system of a chosen size.'
  ),
  defineRow('D7', '1', 'An outage of PostgreSQL is told, and ends by itself'),
  defineRow(
    'D8',
    '0',
    'Faults of Atlassian leave no trace in the copies',
    'The mixed trouble lasts seconds in each run of the suite, not an hour.'
  ),
  defineRow('D9', '0', 'A copy survives the death of who makes it'),
  defineRow('D10', '1', 'A clock that is wrong does no harm'),
  defineRow('D11', '0', 'A backup under load can be restored'),
  defineRow('D12', '1', 'An old backup asks once for each connection, and ends no living consent'),
  defineRow(
    'D13',
    '0',
    'Migrations happen once, or not at all',
    "Nothing imports the original's database."
  ),
  defineRow(
    'D14',
    '1',
    'It runs for a day without growing',
    'A day of load is not run here; only the version of the SQLite library is checked.'
  ),
  defineRow('E1', '0', 'It stops without failing anybody'),
  defineRow('E2', '0', 'Wrong settings stop the start, each of them named'),
  defineRow('E3', '0', 'Everything has a time limit'),
  defineRow('E4', '1', 'Health tells the truth and nothing else'),
  defineRow('E5', '1', 'Too much load is turned away early'),
  defineRow(
    'E6',
    '1',
    'One id leads from the answer to the log lines',
    'There are no traces, and calls to Atlassian do not carry the id.'
  ),
  defineRow(
    'E7',
    '1',
    "Metrics tell what happens and nobody's name",
    'Not built: there is no metrics endpoint.'
  ),
  defineRow('E8', '1', 'Every log line is one line of JSON'),
  defineRow(
    'E9',
    '0',
    'Packages are few, known, permissive and locked',
    'Signatures and advisories are asked for by commands (docs/dependencies.md), not by the build, which does not depend on what a registry offers; the age of a release is not enforced.'
  ),
  defineRow(
    'E10',
    '1',
    'How it was built can be checked',
    'There is a bill of materials; provenance and a Scorecard belong to a publishing pipeline, which this repository does not have.'
  ),
  defineRow(
    'E11',
    '1',
    'The container has as little as it needs',
    'Not built: there is no container image.'
  ),
  defineRow('E12', '0', 'Every threat and promise has its proof')
]
