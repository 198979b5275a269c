import { integerSetting, textSetting, URL_RULE, urlSetting } from './setting.ts'

/** Settings of calls to Atlassian, of syncs and of what is stored for how long. */
export const SYNC_SETTINGS = {
  ATLASSIAN_CLOUD_BASE_URL: urlSetting(
    "Your team's site, returned as base_url until a site is connected. " +
      'Also NEXT_PUBLIC_ATLASSIAN_CLOUD_BASE_URL.'
  ),
  ATLASSIAN_AUTH_URL: textSetting(
    URL_RULE,
    "Atlassian's authorization server.",
    { format: 'web-url' },
    'https://auth.atlassian.com'
  ),
  ATLASSIAN_API_URL: textSetting(
    URL_RULE,
    "Atlassian's API gateway.",
    { format: 'web-url' },
    'https://api.atlassian.com'
  ),
  UPSTREAM_CONNECT_TIMEOUT_MS: integerSetting(
    'Timeout for connecting to Atlassian, in milliseconds.',
    1,
    20_000,
    10_000
  ),
  UPSTREAM_ANSWER_TIMEOUT_MS: integerSetting(
    'Timeout for a complete response from Atlassian, in milliseconds.',
    1,
    30_000,
    20_000
  ),
  HTTPS_PROXY: textSetting(
    'must be the http(s) address of a proxy, such as http://proxy.example.com:3128',
    'Proxy (CONNECT) for every https request of this service. Also https_proxy.',
    { format: 'proxy-url' }
  ),
  NO_PROXY: textSetting(
    '',
    'Hosts that are reached without that proxy, comma-separated: names, which include their subdomains, ' +
      'addresses, optionally with a port, or *. Also no_proxy.'
  ),
  ATLASSIAN_HOURLY_POINTS: integerSetting(
    "Atlassian's quota of the app: points per hour over all sites. Sync uses nine tenths and leaves the " +
      'rest to requests that somebody waits for.',
    100,
    100_000_000,
    65_000
  ),
  SYNC_INTERVAL: integerSetting(
    'Minutes between incremental syncs of a connection. 0: on request only.',
    0,
    10_080,
    15
  ),
  SYNC_LIST_INTERVAL: integerSetting(
    'Seconds between listings of projects or spaces by incremental syncs. An item of an unknown one ' +
      'causes a listing at once. 0: with every sync.',
    0,
    604_800,
    3_600
  ),
  SYNC_FULL_INTERVAL: integerSetting(
    'Hours between full syncs, which find deletions and items that search missed.',
    1,
    720,
    24
  ),
  SYNC_FULL_COOLDOWN: integerSetting(
    'Minutes between two requests for a full sync of one user and product; 0: no limit.',
    0,
    1440,
    10
  ),
  SYNC_CONCURRENCY: integerSetting(
    'Maximum number of concurrent sync runs per process.',
    1,
    100,
    4
  ),
  SYNC_SHRINK_PERCENT: integerSetting(
    'Percentage by which a full listing may shrink. A smaller one deletes nothing until the next listing ' +
      'agrees or the deletions are confirmed.',
    0,
    100,
    20
  ),
  SYNC_HISTORY_DAYS: integerSetting('Days that finished runs are stored.', 1, 3650, 30),
  TOMBSTONE_DAYS: integerSetting(
    'Days that tombstones of deleted items are stored for the change feed.',
    1,
    3650,
    30
  ),
  AUDIT_RETENTION_DAYS: integerSetting(
    'Days that audit entries are stored. 0: for ever.',
    0,
    36_500,
    365
  ),
  AUDIT_ANCHOR_URL: textSetting(
    'must be an https address, or syslog+tls://, syslog+tcp:// or syslog+udp:// with a host',
    'Receiver of the end of the audit trail (count and hash) after each change; empty: none.',
    { format: 'anchor-url' }
  ),
  AUDIT_ANCHOR_TOKEN: textSetting(
    'must be text without spaces',
    'Bearer token for that https address.',
    { pattern: '^[\\x21-\\x7e]+$' }
  ),
  AUDIT_ANCHOR_BLOCKING: textSetting(
    'must be true or false',
    'Answer a change after the receiver has taken it, and refuse changes while it does not respond.',
    { format: 'flag' },
    'false'
  ),
  PERSONAL_DATA_REPORTING: textSetting(
    'must be true or false',
    'Report stored Atlassian accounts to Atlassian, and erase the data of closed accounts. Logins then ' +
      'request the scope report:personal-data, which must be enabled on the apps.',
    { format: 'flag' },
    'false'
  )
}
