export const PLANTED_VALUE = 'pl4nted-value'
const VALID_KEY = 'NuBFHSkpr5J3QSyL3++hUSwzXcSLtdAd2pnMTNV8yE8='

/**
 * Invalid settings: the variables, and the name that the error must contain. The error must not
 * contain `PLANTED`.
 */
export const INVALID_SETTINGS: Array<[env: NodeJS.ProcessEnv, named: string]> = [
  ...['prod', 'Production', 'staging', 'dev', '1', PLANTED_VALUE].map(
    (value) => [{ APP_ENV: value }, 'APP_ENV'] as [NodeJS.ProcessEnv, string]
  ),
  ...['yes', 'on', '2', PLANTED_VALUE].map(
    (value) => [{ DEV_MODE: value }, 'DEV_MODE'] as [NodeJS.ProcessEnv, string]
  ),
  ...[
    'abc',
    '-1',
    '65536',
    '3001.5',
    '0x10',
    '1e3',
    '3001 ; rm',
    '３００１',
    `${PLANTED_VALUE}`
  ].map((value) => [{ PORT: value }, 'PORT'] as [NodeJS.ProcessEnv, string]),
  ...['a b', 'http://a.example', '127.0.0.1/8', `${PLANTED_VALUE}!`].map(
    (value) => [{ HOST: value }, 'HOST'] as [NodeJS.ProcessEnv, string]
  ),
  ...['LOUD', 'INFOO', '10', PLANTED_VALUE, 'toString', '__proto__', 'constructor'].map(
    (value) => [{ LOG_LEVEL: value }, 'LOG_LEVEL'] as [NodeJS.ProcessEnv, string]
  ),
  ...[
    'sqlite',
    'sqlite:/a',
    'sqlite://a.db',
    'sqlite:///',
    'sqlite:///a.db?mode=ro',
    'mysql://u:p@h/db',
    'file:a.db',
    'a.db',
    'postgres:',
    'postgres://',
    'postgres://u:p%zz@h/db',
    'postgres://h:port/db',
    `mongodb://u:${PLANTED_VALUE}@h/db`,
    'sqlite::memory',
    'SQLITE:///a.db'
  ].map(
    (value) => [{ INTEGRATION_DB_URL: value }, 'INTEGRATION_DB_URL'] as [NodeJS.ProcessEnv, string]
  ),
  ...['DB_AUTO_MIGRATE', 'DB_REQUIRE_DURABLE', 'PERSONAL_DATA_REPORTING'].flatMap((name) =>
    ['yes', 'maybe', PLANTED_VALUE].map(
      (value) => [{ [name]: value }, name] as [NodeJS.ProcessEnv, string]
    )
  ),
  ...['DB_POOL_SIZE', 'DB_STATEMENT_TIMEOUT_MS', 'DB_LOCK_TIMEOUT_MS'].flatMap((name) =>
    ['0', '-1', '1e3', '9999999', PLANTED_VALUE].map(
      (value) => [{ [name]: value }, name] as [NodeJS.ProcessEnv, string]
    )
  ),
  ...[
    'k1',
    `k1:${PLANTED_VALUE}`,
    `:${VALID_KEY}`,
    VALID_KEY,
    'k1:AAAA',
    `k1:${'A'.repeat(43)}=`,
    `k1:${VALID_KEY},k1:${VALID_KEY}`,
    `k1:${VALID_KEY.slice(0, 20)}*${VALID_KEY.slice(20)}`,
    ','
  ].map((value) => [{ VAULT_KEYS: value }, 'VAULT_KEYS'] as [NodeJS.ProcessEnv, string]),
  [{ VAULT_KEYS: undefined, VAULT_KEYS_FILE: `/nowhere/${PLANTED_VALUE}` }, 'VAULT_KEYS_FILE'],
  [
    { VAULT_KEYS: `k1:${VALID_KEY}`, VAULT_KEYS_FILE: `/nowhere/${PLANTED_VALUE}` },
    'VAULT_KEYS_FILE'
  ],
  [{ VAULT_KEYS: undefined, VAULT_KEYS_FILE: '/dev/null' }, 'VAULT_KEYS_FILE'],
  ...[
    'APP_FRONTEND_URL',
    'PUBLIC_URL',
    'ATLASSIAN_CLOUD_BASE_URL',
    'ATLASSIAN_AUTH_URL',
    'ATLASSIAN_API_URL'
  ].flatMap((name) =>
    [
      'app.example',
      'ftp://a.example',
      'javascript:alert(1)',
      `https://u:${PLANTED_VALUE}@a.example`,
      'https://a.example/?q=1',
      'https://a.example/#f',
      'https://',
      'https://a b.example',
      'http:///a',
      'https:\\\\a.example',
      '//a.example',
      '*'
    ].map((value) => [{ [name]: value }, name] as [NodeJS.ProcessEnv, string])
  ),
  ...['JIRA', 'CONFLUENCE'].flatMap((product) => [
    ...[
      'http://app.example/cb',
      'https://app.example/cb#x',
      'app.example/cb',
      `https://u:${PLANTED_VALUE}@app.example/cb`,
      '/auth/jira/callback',
      'http://127.0.0.1.evil.example/cb',
      'http://localhost.evil.example/'
    ].map(
      (value) =>
        [{ [`${product}_OAUTH_REDIRECT_URI`]: value }, `${product}_OAUTH_REDIRECT_URI`] as [
          NodeJS.ProcessEnv,
          string
        ]
    ),
    ...['read:jira-work,offline_access', 'read jira<work>', `"${PLANTED_VALUE}"`].map(
      (value) =>
        [{ [`${product}_OAUTH_SCOPES`]: value }, `${product}_OAUTH_SCOPES`] as [
          NodeJS.ProcessEnv,
          string
        ]
    ),
    [{ [`${product}_OAUTH_CLIENT_ID`]: `${PLANTED_VALUE} b` }, `${product}_OAUTH_CLIENT_ID`] as [
      NodeJS.ProcessEnv,
      string
    ],
    [
      { [`${product}_OAUTH_CLIENT_SECRET`]: `${PLANTED_VALUE} b` },
      `${product}_OAUTH_CLIENT_SECRET`
    ] as [NodeJS.ProcessEnv, string]
  ]),
  ...[
    'a.example',
    'https://a.example/path',
    'https://a.example/?',
    'https://a.example//',
    'https://a.example,b.example',
    'https://a.example,*',
    'null',
    `https://${PLANTED_VALUE}@a.example`
  ].map(
    (value) =>
      [{ BACKEND_CORS_ORIGINS: value }, 'BACKEND_CORS_ORIGINS'] as [NodeJS.ProcessEnv, string]
  ),
  ...['true', '1', '*', '10.0.0.0/33', 'proxy.example', PLANTED_VALUE, '10.0.0'].map(
    (value) => [{ TRUST_PROXY: value }, 'TRUST_PROXY'] as [NodeJS.ProcessEnv, string]
  ),
  ...[
    'ftp://proxy.example',
    'socks5://proxy.example',
    'http://proxy.example/path',
    'http://a b.example',
    `http://u:${PLANTED_VALUE}%zz@proxy.example`
  ].flatMap((value) =>
    ['HTTPS_PROXY', 'https_proxy'].map(
      (name) => [{ [name]: value }, name] as [NodeJS.ProcessEnv, string]
    )
  ),
  ...['0', '-5', 'soon', '999999999'].flatMap((value) =>
    ['UPSTREAM_CONNECT_TIMEOUT_MS', 'UPSTREAM_ANSWER_TIMEOUT_MS'].map(
      (name) => [{ [name]: value }, name] as [NodeJS.ProcessEnv, string]
    )
  ),
  ...[
    ['RATE_LIMIT', '1000001'],
    ['RATE_LIMIT_LOGIN', '1000001'],
    ['RATE_LIMIT_REFUSED', '1000001'],
    ['MAX_OPEN_LOGINS', '0'],
    ['CONSENT_EMAIL_MISMATCH', 'sometimes'],
    ['OVERLOAD_AFTER_MS', '60001'],
    ['MAX_CONNECTIONS_PER_ADDRESS', '20001'],
    ['ATLASSIAN_HOURLY_POINTS', '99'],
    ['SYNC_INTERVAL', '10081'],
    ['SYNC_FULL_INTERVAL', '0'],
    ['SYNC_CONCURRENCY', '0'],
    ['SYNC_SHRINK_PERCENT', '101'],
    ['SYNC_HISTORY_DAYS', '0'],
    ['TOMBSTONE_DAYS', '3651'],
    ['AUDIT_RETENTION_DAYS', '36501']
  ].flatMap(([name = '', beyond = '']) =>
    [beyond, '-5', '1.5', '15m', 'never', PLANTED_VALUE].map(
      (value) => [{ [name]: value }, name] as [NodeJS.ProcessEnv, string]
    )
  ),
  ...['protcted', 'Public', 'true', 'private', PLANTED_VALUE].map(
    (value) => [{ API_ACCESS: value }, 'API_ACCESS'] as [NodeJS.ProcessEnv, string]
  ),
  ...['yes', 'true', 'OPEN', PLANTED_VALUE].map(
    (value) => [{ API_DOCS: value }, 'API_DOCS'] as [NodeJS.ProcessEnv, string]
  ),
  ...['JWT_ISSUER', 'JWT_AUDIENCE'].map(
    (name) =>
      [
        {
          JWT_ISSUER: 'https://id.example/',
          JWT_AUDIENCE: 'a',
          JWT_JWKS_URL: 'https://id.example/jwks',
          [name]: `${PLANTED_VALUE} b`
        },
        name
      ] as [NodeJS.ProcessEnv, string]
  ),
  ...['JWT_ISSUER', 'JWT_AUDIENCE', 'JWT_JWKS_URL'].map(
    (name) =>
      [
        {
          JWT_ISSUER: 'https://id.example/',
          JWT_AUDIENCE: 'a',
          JWT_JWKS_URL: 'https://id.example/jwks',
          [name]: undefined
        },
        name
      ] as [NodeJS.ProcessEnv, string]
  ),
  ...['http://id.example/jwks', 'id.example', `https://u:${PLANTED_VALUE}@id.example/`].map(
    (value) =>
      [
        { JWT_ISSUER: 'https://id.example/', JWT_AUDIENCE: 'a', JWT_JWKS_URL: value },
        'JWT_JWKS_URL'
      ] as [NodeJS.ProcessEnv, string]
  ),
  ...[PLANTED_VALUE, '-----BEGIN PUBLIC KEY-----\\nAAAA\\n-----END PUBLIC KEY-----'].map(
    (value) =>
      [
        { JWT_ISSUER: 'https://id.example/', JWT_AUDIENCE: 'a', JWT_PUBLIC_KEY: value },
        'JWT_PUBLIC_KEY'
      ] as [NodeJS.ProcessEnv, string]
  ),
  [{ APP_ENV: 'production', DEV_MODE: 'true' }, 'DEV_MODE'],
  [{ APP_ENV: 'production', VAULT_KEYS: undefined }, 'VAULT_KEYS'],
  [{ APP_ENV: 'production', VAULT_KEYS: ' ' }, 'VAULT_KEYS_FILE']
]

/** Misspelt variables, and the setting that the hint must name. They alone stop no start. */
export const MISSPELT_SETTINGS: Array<[env: NodeJS.ProcessEnv, named: string]> = [
  [{ SYNC_INTERVALL: PLANTED_VALUE }, 'SYNC_INTERVAL'],
  [{ TOMBSTONES_DAYS: PLANTED_VALUE }, 'TOMBSTONE_DAYS'],
  [{ JIRA_OAUTH_CLIENT_SERCET: PLANTED_VALUE }, 'JIRA_OAUTH_CLIENT_SECRET'],
  [{ JIRA_OAUTH_CLIENT_SECRET_FIL: PLANTED_VALUE }, 'JIRA_OAUTH_CLIENT_SECRET_FILE'],
  [{ APP_FRONTENDURL: PLANTED_VALUE }, 'APP_FRONTEND_URL'],
  [{ BACKEND_CORS_ORIGIN: PLANTED_VALUE }, 'BACKEND_CORS_ORIGINS'],
  [{ INTEGRATION_DBURL_FILE: PLANTED_VALUE }, 'INTEGRATION_DB_URL_FILE'],
  [{ ATLASIAN_CLIENT_ID: PLANTED_VALUE }, 'ATLASSIAN_CLIENT_ID'],
  [{ LOG_LEVLE: PLANTED_VALUE }, 'LOG_LEVEL'],
  [{ HTTPS_PROXI: PLANTED_VALUE }, 'HTTPS_PROXY']
]
