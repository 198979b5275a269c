/** What each of them is about, in a few words. `docs/security.md` is made of this table and of the titles of the tests. */
export interface Row {
  id: string
  title: string
  /** For a threat its kind (STRIDE), for a promise how soon it is needed: 0 before real tokens, 1 for production, 2 to be best. */
  rank: string
  /** What is not proved, and why. A row with tests and this is proved in part; one without tests and without this fails the build. */
  open?: string
}

const row = (id: string, rank: string, title: string, open?: string): Row => ({
  id,
  rank,
  title,
  ...(open === undefined ? {} : { open })
})

export const THREATS: readonly Row[] = [
  row('T01', 'Spoofing', 'Somebody without a credential reads or changes what is not theirs'),
  row('T02', 'Spoofing', "A victim's browser is made to finish an attacker's login"),
  row('T03', 'Spoofing', "A stolen code is put into another person's login"),
  row('T04', 'Spoofing', 'Tokens end up with the wrong user'),
  row('T05', 'Spoofing', 'Headers of a caller pretend to come from a proxy, or name somebody else'),
  row('T06', 'Spoofing', 'A forged Host leads callbacks and links elsewhere'),
  row('T07', 'Spoofing', 'A session is planted, guessed, or outlives its end'),
  row('T08', 'Spoofing', 'A JWT that nobody signed, or signed for something else, is believed'),
  row('T09', 'Tampering', "Rows exchanged in the database give one person another's token"),
  row('T10', 'Tampering', 'Changed or shortened ciphertext opens'),
  row('T11', 'Tampering', "A body sets fields that are not the caller's to set"),
  row('T12', 'Tampering', 'Another type or spelling of a value passes as the value'),
  row('T13', 'Tampering', 'Keys of the prototype change every object'),
  row('T14', 'Tampering', 'Text becomes part of SQL, JQL or CQL'),
  row(
    'T15',
    'Tampering',
    'One stream is two requests to the one, and one to the other',
    'The proxies of the tests are plain Node ones: nginx, Caddy and HAProxy are not at hand where the tests run.'
  ),
  row('T16', 'Tampering', 'Two refresh at once and a dead token is stored'),
  row('T17', 'Tampering', 'An id walks up the path of a call to Atlassian'),
  row('T18', 'Repudiation', 'Nobody can tell who connected, read or disconnected'),
  row('T19', 'Repudiation', 'A value forges or splits log lines'),
  row('T20', 'Disclosure', 'A token is in a log line, an error or an answer'),
  row('T21', 'Disclosure', 'A token is readable in the files of the database or in a backup'),
  row('T22', 'Disclosure', 'Code, state or token stays in an address, the history or a Referer'),
  row('T23', 'Disclosure', "An id opens another person's things"),
  row(
    'T24',
    'Disclosure',
    'Creating users tells whose address is known',
    'A service key with `users:write` is told by 201 or 200, on purpose: the original answers so, and the back end behind the key knows its people.'
  ),
  row('T25', 'Disclosure', 'Stacks, SQL, paths or upstream bodies are in an answer'),
  row('T26', 'Disclosure', 'A setting that front ends publish holds the secret'),
  row('T27', 'Disclosure', 'A login ends on a foreign site'),
  row('T28', 'Disclosure', "The service is made to call an address of somebody's choice"),
  row('T29', 'Disclosure', 'Scripts of any site read answers'),
  row(
    'T30',
    'Disclosure',
    'The time of a comparison tells a secret',
    'No statistic of times is taken: on a machine that is shared it would measure the machine. Secrets of 256 bits are looked up by their hash.'
  ),
  row('T31', 'Disclosure', 'A stolen backup is worth something'),
  row('T32', 'Denial', 'Slow or huge requests hold the service'),
  row('T33', 'Denial', 'One request stops the event loop'),
  row('T34', 'Denial', 'Abandoned logins, jobs or log lines pile up'),
  row(
    'T35',
    'Denial',
    'Atlassian is slow or away, and takes the API along',
    'How fast stored copies are served while every call to Atlassian takes 20 s is not measured.'
  ),
  row(
    'T36',
    'Denial',
    'All tokens are refreshed at the same moment',
    'Shown for tens of connections, not for 10,000 that are due at once.'
  ),
  row('T37', 'Denial', "One person's load uses up what everybody shares"),
  row('T38', 'Elevation', 'A caller chooses scopes'),
  row('T39', 'Elevation', 'Inner pages are reachable from outside'),
  row(
    'T40',
    'Elevation',
    'A package does harm when it is installed or loaded',
    "The age of a release is not enforced, and Node's permission model is not used."
  ),
  row('T41', 'Elevation', 'A secret is missing, weak or well known'),
  row('T42', 'Elevation', 'An old database that is restored uses what is no longer good')
]

export const PROMISES: readonly Row[] = [
  row('A1', '0', 'The state of a login is made here, unguessable, and stored as a hash'),
  row('A2', '0', 'It is bound to product and browser, and works once'),
  row('A3', '0', 'Callbacks at the same time are exchanged once each'),
  row('A4', '0', 'No secret has a default that works'),
  row('A5', '0', 'No login leads away from the front end'),
  row('A6', '0', 'Redirects are clean: nothing secret in them, kept by nobody'),
  row('A7', '0', 'Callback address and scopes come from the settings alone'),
  row(
    'A8',
    '0',
    'Tokens belong to whom the login was for, and another account needs a confirmation'
  ),
  row('A9', '1', 'PKCE as a setting', 'Not built: Atlassian does not document PKCE for its apps.'),
  row('A10', '0', 'Whoever needs a refresh at once, it happens once'),
  row('A11', '0', 'A crash in the middle of a refresh costs no consent'),
  row('A12', '0', 'Whoever died or froze with the lease is replaced and overwrites nothing'),
  row('A13', '1', 'Tokens are replaced before they end, and kept alive when nobody uses them'),
  row('A14', '0', 'Only an answer that is final ends a consent'),
  row('A15', '1', 'Odd answers to a refresh do no harm'),
  row('B1', '0', 'Nothing secret is readable where data lies'),
  row('B2', '0', 'A ciphertext opens in its own place only'),
  row('B3', '0', 'A changed ciphertext never opens'),
  row('B4', '0', 'No nonce comes twice, and a key that is worn out is retired'),
  row('B5', '0', 'Keys are replaced while the service works'),
  row(
    'B6',
    '1',
    'A master key over the data keys is replaced without sealing anew',
    'Not built: each key in VAULT_KEYS seals tokens itself, and replacing one seals them anew (B5). There is no master key to wrap others.'
  ),
  row(
    'B7',
    '0',
    'With a wrong or missing key it does not start, and nothing is ever stored in clear text'
  ),
  row(
    'B8',
    '1',
    'Keys come from a setting or a file, and bad ones are refused',
    'No external command and no KMS is built in; both fit behind src/vault/source.ts.'
  ),
  row(
    'B9',
    '0',
    "Plain tokens of the original's database do not survive an import",
    "Not built: nothing imports the original's database. People connect anew."
  ),
  row('B10', '0', 'No secret is in anything that is put out'),
  row('B11', '1', 'The logger writes a line whatever it is given'),
  row('B12', '1', 'What is done with tokens is in the audit trail, or not done'),
  row('B13', '1', 'What is ended or deleted is gone'),
  row('C1', '0', 'Bad input is refused with a reason and not stored'),
  row('C2', '0', 'Whatever is sent, every answer is one that the description has'),
  row('C3', '0', 'Nothing in a body is turned into another type'),
  row('C4', '0', 'Each thing has one address'),
  row('C5', '0', 'Sizes have limits'),
  row('C6', '0', 'Who may call what is declared, and holds'),
  row('C7', '0', "What is another person's is as good as missing"),
  row('C8', '0', 'Odd headers do no harm'),
  row('C9', '1', 'Odd bytes on a socket do no harm'),
  row('C10', '1', 'Calls have a rate'),
  row('C11', '0', "Other sites can neither read nor write with a person's cookie"),
  row('C12', '0', 'Every answer carries the headers that protect, and none that tell'),
  row('C13', '0', 'Calls go to the configured hosts only'),
  row('C14', '1', 'No text makes a pattern slow'),
  row('D1', '0', 'What was acknowledged survives a kill'),
  row('D2', '0', 'What was acknowledged is on the disk'),
  row(
    'D3',
    '1',
    'It survives a power cut',
    'Needs a file system that forgets what was not synced. What stands for it is D2: every commit is synced before it is acknowledged.'
  ),
  row('D4', '0', 'Upserts at the same time make one row'),
  row('D5', '0', "Somebody else's lock does not stop reading"),
  row(
    'D6',
    '1',
    'A full or read-only disk is told and survived',
    'Not run: needs a file system of a chosen size.'
  ),
  row('D7', '1', 'An outage of PostgreSQL is told, and ends by itself'),
  row(
    'D8',
    '0',
    'Faults of Atlassian leave no trace in the copies',
    'The mixed trouble lasts seconds in each run of the suite, not an hour.'
  ),
  row('D9', '0', 'A copy survives the death of who makes it'),
  row('D10', '1', 'A clock that is wrong does no harm'),
  row('D11', '0', 'A backup under load can be restored'),
  row('D12', '1', 'An old backup asks once for each connection, and ends no living consent'),
  row(
    'D13',
    '0',
    'Migrations happen once, or not at all',
    "Nothing imports the original's database."
  ),
  row(
    'D14',
    '1',
    'It runs for a day without growing',
    'A day of load is not run here; only the version of the SQLite library is checked.'
  ),
  row('E1', '0', 'It stops without failing anybody'),
  row('E2', '0', 'Wrong settings stop the start, each of them named'),
  row('E3', '0', 'Everything has a time limit'),
  row('E4', '1', 'Health tells the truth and nothing else'),
  row('E5', '1', 'Too much load is turned away early'),
  row(
    'E6',
    '1',
    'One id leads from the answer to the log lines',
    'There are no traces, and calls to Atlassian do not carry the id.'
  ),
  row(
    'E7',
    '1',
    "Metrics tell what happens and nobody's name",
    'Not built: there is no metrics endpoint.'
  ),
  row('E8', '1', 'Every log line is one line of JSON'),
  row(
    'E9',
    '0',
    'Packages are few, known, permissive and locked',
    'Signatures and advisories are asked for by commands (docs/dependencies.md), not by the build, which does not depend on what a registry offers; the age of a release is not enforced.'
  ),
  row(
    'E10',
    '1',
    'How it was built can be checked',
    'There is a bill of materials; provenance and a Scorecard belong to a publishing pipeline, which this repository does not have.'
  ),
  row(
    'E11',
    '1',
    'The container has as little as it needs',
    'Not built: there is no container image.'
  ),
  row('E12', '0', 'Every threat and promise has its proof')
]
