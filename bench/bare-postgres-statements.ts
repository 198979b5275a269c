import { PROJECT, STATEMENTS } from './bare-database.ts'

/** A row of the audit trail has these columns; `$1` to `$13` are their values. */
const AUDIT_COLUMNS =
  'seq, at, actor, actor_id, actor_name, action, user_id, connection_id, product, ip, request_id, ' +
  'detail, hash'
const AUDIT_VALUES = AUDIT_COLUMNS.split(', ').map((_, i) => `$${i + 1}`)
const FIRST_USER = `(select min(id) from users where email_key not like 'removed-user-%')`

const numberParameters = (text: string) => {
  let count = 0
  return text.replaceAll('?', () => `$${++count}`)
}

/**
 * The statements that the service runs on PostgreSQL for the measured requests, by name. Where the
 * service runs more than one for a request, or another one, SQLite's are left out.
 */
export const POSTGRES_STATEMENTS = {
  getUser: numberParameters(STATEMENTS.getUser),
  getUserByKey: numberParameters(STATEMENTS.getUserByKey),
  listUsers: numberParameters(STATEMENTS.listUsers),
  createUser: numberParameters(STATEMENTS.createUser),
  listProjects: numberParameters(STATEMENTS.listProjects),
  listChanges: numberParameters(STATEMENTS.listChanges),
  findKey: `select id, name, prefix, scopes, networks, created_at, expires_at, rotated_until,
    revoked_at, last_used_at from api_keys where hash = $1`,
  findIdentity: 'select user_id from identities where issuer = $1 and subject = $2',
  readHead: 'select seq, hash, cut_seq, cut_hash, signature from audit_head where id = 1',
  insertAudit: `insert into audit (${AUDIT_COLUMNS}) values (${AUDIT_VALUES.join()})`,
  updateHead: `update audit_head set seq = $1, hash = $2, cut_seq = $3, cut_hash = $4,
    signature = $5 where id = 1`,
  advanceFeed: `insert into feeds (owner_id, seq, forgotten) values ($1, 1, 0)
    on conflict (owner_id) do update set seq = feeds.seq + excluded.seq returning seq`,
  updateProject: `update projects set url = null, revision = revision + 1, updated_at = $1,
    remote_updated_at = null, seq = $2, deleted_at = null, key = $3, name = $4, lead = null
    where owner_id = $5 and site = '' and remote_id = $3 returning ${PROJECT}`,
  insertProject: `insert into projects
    (owner_id, site, remote_id, revision, updated_at, seq, key, name)
    values ($5, '', $3, 1, $1, $2, $3, $4) returning ${PROJECT}`,
  readFeed: `select feeds.seq, feeds.forgotten, service_state.value from users
    left join feeds on feeds.owner_id = users.id
    left join service_state on service_state.name = $1 where users.id = $2`,
  readCompleteness: `select connections.bound,
    case when exists (select id from runs where active_key = $1) then 1 else 0 end as is_run_active,
    checkpoints.site, checkpoints.pass, checkpoints.complete_at, checkpoints.read_at,
    case when checkpoints.retry <> '[]' then 1 else 0 end as has_failed_items,
    case when checkpoints.held_at is not null then 1 else 0 end as has_held_deletions
    from connections left join checkpoints on checkpoints.owner_id = connections.user_id
      and checkpoints.provider = connections.provider and checkpoints.collection = $2
    where connections.user_id = $3 and connections.provider = $4`,
  findSharedGrant: `select grants.scopes from connections
    inner join grants on connections.grant_id = grants.id
    where connections.user_id = ${FIRST_USER} and grants.client_id = $1 and exists (
      select id from connections others where others.grant_id = grants.id
        and (others.user_id <> ${FIRST_USER} or others.provider <> $2))`,
  startLogin: `insert into flows (state_hash, provider, client_id, redirect_uri, caller_state,
      return_url, scopes, change_account, browser_hash, user_id, opener, started_by, expires_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
    on conflict (state_hash) do nothing`
}
