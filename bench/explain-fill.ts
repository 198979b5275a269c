/** Size of the data; other counts follow from these two. */
export interface DatasetSize {
  pages: number
  users: number
}

/** The one difference between engines: `characters` of incompressible text, different for each `i`. */
export interface SqlDialect {
  noise: (characters: number) => string
}

/** The owner of a fifth of all items; the other owners share the rest. */
export const BIG_OWNER_ID = 1
/** Builds the cloud id of an owner's site. */
const buildSiteExpression = (owner: number | string) =>
  `'8f0c1d3e-0000-4000-8000-' || substr(cast(1000000000000 + ${owner} as text), 2)`
export const NOW_MS = Date.UTC(2026, 10, 23)
const DAY_MS = 86_400_000

/** Numbers from 1 to `count`, as `i`, in the syntax of both engines. */
const buildNumbersCte = (count: number) =>
  `with recursive n(i) as (select cast(1 as bigint) union all select i + 1 from n where i < ${count})`

/**
 * Builds the statements that fill an empty database of either engine. Ids are explicit, a prime
 * factor spreads numbers, and texts are as long as Atlassian's. Each owner's rows are adjacent, as
 * after a first copy.
 */
export function buildFillStatements(
  { pages, users }: DatasetSize,
  { noise }: SqlDialect
): string[] {
  const share = pages / 5
  const [issues, runs, spaces, projects] = [pages * 0.3, users * 5, users * 5, users * 2].map(
    Math.round
  ) as [number, number, number, number]
  const insertInto = (table: string, count: number, columns: Record<string, string>) =>
    `insert into ${table} (${Object.keys(columns)
      .map((name) => `"${name}"`)
      .join()}) ${buildNumbersCte(count)} select ${Object.values(columns).join()} from n`
  /** Inserts items: the first fifth for the big owner, then equally many for each other owner. */
  const items = (
    table: string,
    count: number,
    ownColumns: (owner: string) => Record<string, string>
  ) => {
    const [bigOwnerRows, rowsPerOwner] = [
      Math.round(count / 5),
      Math.ceil((count * 4) / 5 / (users - 1))
    ]
    const owner = `(case when i <= ${bigOwnerRows} then ${BIG_OWNER_ID}
      else 2 + (i - ${bigOwnerRows + 1}) / ${rowsPerOwner} end)`
    const isGone = '(i % 50 = 0)'
    return insertInto(table, count, {
      id: 'i',
      owner_id: owner,
      site: buildSiteExpression(owner),
      remote_id: 'cast(10000000 + i as text)',
      revision: '1',
      updated_at: `${NOW_MS} - (i * 7919003) % ${30 * DAY_MS}`,
      remote_updated_at: `${NOW_MS} - (i * 7919003) % ${365 * DAY_MS}`,
      seq: `(case when i <= ${bigOwnerRows} then i
        else 1 + (i - ${bigOwnerRows + 1}) % ${rowsPerOwner} end)`,
      pass: '3',
      deleted_at: `(case when ${isGone} then ${NOW_MS} - (i * 7919003) % ${40 * DAY_MS} end)`,
      ...ownColumns(owner)
    })
  }
  const space = (owner: string) =>
    `'SP' || (case when ${owner} <> ${BIG_OWNER_ID} then i % 3
      when i % 10000 = 7 then 999 else i % 40 end)`
  const site = (owner: string) =>
    `'[{"cloudId":"' || ${buildSiteExpression(owner)} || '","name":"acme",'
      || '"url":"https://acme-' || ${owner} || '.atlassian.net"}]'`
  const connection = (from: number, count: number, provider: string) =>
    insertInto('connections', count, {
      id: `i + ${from}`,
      user_id: 'i',
      provider: `'${provider}'`,
      grant_id: "'grant-' || i",
      sites: site('i'),
      bound: site('i'),
      connected_at: String(NOW_MS),
      sync_due_at: `${NOW_MS} - 60000 + (i * 7919003) % 900000`
    })
  const endedRuns = runs - users / 5

  return [
    insertInto('users', users, {
      id: 'i',
      email: "'Person.' || i || '@example.com'",
      email_key: "'person.' || i || '@example.com'",
      display_name: "'Person ' || i",
      created_at: String(NOW_MS)
    }),
    insertInto('grants', users, {
      id: "'grant-' || i",
      client_id: "'client'",
      account_id: "'712020:person-' || i",
      scopes: "'read:jira-work read:jira-user read:me offline_access'",
      state: "(case when i % 50 = 0 then 'needs_reconnect' else 'active' end)",
      key_id: "(case when i % 100 = 0 then 'old' else 'k1' end)",
      access_token: noise(2_000),
      refresh_token: noise(1_000),
      access_expires_at: `${NOW_MS} + i`,
      previous_until: `(case when i % 500 = 1 then ${NOW_MS} - i end)`,
      consented_at: `${NOW_MS} - (i * 7919003) % ${365 * DAY_MS}`,
      due_at: `(case when i % 50 <> 0
        then ${NOW_MS} - ${DAY_MS} + (i * 7919003) % ${30 * DAY_MS} end)`,
      version: '1'
    }),
    connection(0, users, 'confluence'),
    connection(users, users / 5, 'jira'),
    insertInto('history', users * 5, {
      id: 'i',
      connection_id: `1 + i % ${users}`,
      to_state: "'active'",
      at: String(NOW_MS)
    }),
    insertInto('runs', runs, {
      id: 'i',
      owner_id: `1 + i % ${users}`,
      provider: "(case when i % 5 = 0 then 'jira' else 'confluence' end)",
      state: `(case when i <= ${endedRuns} then 'succeeded' when i % 10 < 4 then 'queued'
        when i % 10 < 9 then 'parked' else 'running' end)`,
      active_key: `(case when i > ${endedRuns} then (1 + i % ${users}) || '/'
        || (case when i % 5 = 0 then 'jira' else 'confluence' end) end)`,
      parked_until: `(case when i > ${endedRuns} and i % 10 between 4 and 8
        then ${NOW_MS} - 60000 + i % 3600000 end)`,
      lease_until: `(case when i > ${endedRuns} and i % 10 = 9 then ${NOW_MS} end)`,
      seen: '250',
      added: '1',
      changed: '2',
      calls: '3',
      created_at: `${NOW_MS} - i`,
      finished_at: `(case when i <= ${endedRuns} then ${NOW_MS} - ${30 * DAY_MS}
        + (i * 7919003) % ${DAY_MS * 30} - ${DAY_MS / 2} end)`
    }),
    ...['spaces', 'pages'].map((collection, k) =>
      insertInto('checkpoints', users, {
        id: `i + ${k * users}`,
        owner_id: 'i',
        provider: "'confluence'",
        site: buildSiteExpression('i'),
        collection: `'${collection}'`,
        pass: '3',
        complete_pass: '3',
        held_at: `(case when i % 100 = 0 then ${NOW_MS} end)`
      })
    ),
    insertInto('budgets', users * 2, {
      name: "'client ' || i || ' GET /wiki/api/v2/pages'",
      until: `${NOW_MS} - (i * 7919003) % ${2 * DAY_MS}`
    }),
    insertInto('flows', users, {
      state_hash: noise(43),
      provider: "'jira'",
      client_id: "'client'",
      redirect_uri: "'https://app.example.com/auth/jira/callback'",
      caller_state: "'user_id=' || i",
      expires_at: `${NOW_MS} - (i * 7919003) % 4200000 + 600000`
    }),
    insertInto('leases', users / 10, {
      name: "'grant/grant-' || i",
      owner: noise(36),
      until: String(NOW_MS)
    }),
    insertInto('vault_keys', 2, {
      id: "(case when i = 1 then 'k1' else 'old' end)",
      proof: noise(60),
      uses: '1',
      created_at: String(NOW_MS)
    }),
    insertInto('feeds', users, {
      owner_id: 'i',
      seq: `(case when i = ${BIG_OWNER_ID} then ${share} else ${share} / 100 end)`,
      forgotten: '0'
    }),
    items('projects', projects, (owner) => ({
      key: "'PRJ' || i",
      name: "'Project number ' || i",
      lead: "'Dana Fox'",
      url: `'https://acme-' || ${owner} || '.atlassian.net/browse/PRJ' || i`
    })),
    items('issues', issues, (owner) => ({
      issue_id: 'cast(10000000 + i as text)',
      key: "'PRJ' || i % 40 || '-' || i",
      project_key: "'PRJ' || (case when i % 10000 = 7 then 999 else i % 40 end)",
      summary: "'Something does not work as it should, case ' || i",
      status: "'In Progress'",
      issue_type: "'Bug'",
      assignee: "'Dana Fox'",
      remote_created_at: `${NOW_MS} - i`,
      url: `'https://acme-' || ${owner} || '.atlassian.net/browse/PRJ' || i % 40 || '-' || i`
    })),
    items('spaces', spaces, (owner) => ({
      space_id: 'cast(10000000 + i as text)',
      key: "'SP' || i",
      name: "'Space number ' || i",
      type: "'global'",
      status: "'current'",
      url: `'https://acme-' || ${owner} || '.atlassian.net/wiki/spaces/SP' || i`
    })),
    items('pages', pages, (owner) => ({
      space_key: space(owner),
      page_id: 'cast(10000000 + i as text)',
      title: "'Page ' || ((i * 7919003) % 1000003) || ' of the handbook'",
      status: "'current'",
      url: `'https://acme-' || ${owner} || '.atlassian.net/wiki/spaces/' || ${space(owner)}
        || '/pages/' || (10000000 + i) || '/Page+of+the+handbook'`
    }))
  ]
}
