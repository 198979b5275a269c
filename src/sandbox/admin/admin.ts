import type { Answer } from '../gateway/answer.ts'
import { ok } from '../gateway/answer.ts'
import {
  changeIssue,
  changePage,
  changeProject,
  changeSpace,
  createIssue,
  createPage,
  createProject,
  createSpace
} from './admin-data.ts'
import { accountOf, restrict, spoil } from './admin-items.ts'
import { FAULT_KINDS } from './faults.ts'
import { AdminError, oneOf, readFields, siteOf, inRange } from './fields.ts'
import { BURST_VARIANTS, QUOTA_VARIANTS } from '../gateway/limits.ts'
import { SCOPES } from '../oauth/scopes.ts'
import { PRODUCTS } from '../data/sites.ts'
import type { World } from '../state.ts'

/** @param id what followed the name in the path, `projects/{id}` */
type Action = (world: World, body: unknown, id: string) => unknown

const BURST_MS = 1000
const LONGEST_LAG_MS = 7 * 86_400_000

const ACTIONS: Record<string, Action> = {
  'GET state': state,
  'GET stats': stats,
  'GET faults': ({ faults }) => faults.list(),
  'POST faults': addFault,
  'DELETE faults': ({ faults }) => faults.clear(),
  'POST clock': advance,
  'POST revoke': revoke,
  'POST password-change': changePassword,
  'POST account': changeAccount,
  'POST uninstall': uninstall,
  'POST scopes': setScopes,
  'POST product-access': setAccess,
  'POST quota': setQuota,
  'POST burst': setBurst,
  'POST lag': setLag,
  'POST restrict': restrict,
  'POST spoil': spoil,
  'POST reset': ({ reset }) => reset(),
  'POST projects': createProject,
  'POST projects/': changeProject,
  'POST issues': createIssue,
  'POST issues/': changeIssue,
  'POST spaces': createSpace,
  'POST spaces/': changeSpace,
  'POST pages': createPage,
  'POST pages/': changePage
}

/**
 * One call of the admin API, through which tests and demos make things happen. Bodies and answers are JSON; a field that is
 * not known is a 400 that names it.
 *
 * @param path below `/admin/`
 */
export function admin(world: World, method: string, path: string, body: unknown): Answer {
  const [name, ...rest] = path.split('/')
  const id = rest.join('/')
  const action = ACTIONS[`${method} ${name}${id === '' ? '' : '/'}`]
  if (action === undefined) {
    return {
      status: 404,
      body: {
        error: `no admin call ${method} ${path}. Known: ${Object.keys(ACTIONS)
          .map((known) => known.replace(/\/$/, '/{id}'))
          .join(', ')}`
      }
    }
  }
  try {
    return ok(action(world, body ?? {}, id) ?? { ok: true })
  } catch (error) {
    if (error instanceof AdminError) return { status: 400, body: { error: error.message } }
    throw error
  }
}

function addFault({ faults }: World, body: unknown) {
  const {
    match = {},
    times = 1,
    skip = 0,
    kind,
    ...rest
  } = readFields(body, {
    match: 'object?',
    times: 'number?',
    kind: 'string',
    status: 'number?',
    body: 'any?',
    headers: 'object?',
    delay_ms: 'number?',
    skip: 'number?',
    bytes: 'number?'
  })
  const where = readFields(match, { path: 'string?', method: 'string?' }, 'match')
  inRange(times, 0, 1_000_000, 'times')
  inRange(skip, 0, 1_000_000, 'skip')
  inRange(rest.status ?? 200, 200, 599, 'status')
  faults.add({
    match: where,
    times: Number(times),
    skip: Number(skip),
    kind: oneOf(kind, FAULT_KINDS, 'kind'),
    ...rest
  })
}

function advance({ clock, now }: World, body: unknown) {
  const { advance_ms: ms } = readFields(body, { advance_ms: 'number' })
  clock.advance(Number(ms))
  return { now: new Date(now()).toISOString() }
}

function revoke({ grants, ...world }: World, body: unknown) {
  const { client_id: clientId, account_id: account } = readFields(body, {
    client_id: 'string?',
    account_id: 'string?'
  })
  return {
    grants: grants.revoke({
      clientId: clientId as string | undefined,
      accountId: account === undefined ? undefined : accountOf(world, account)
    })
  }
}

function changePassword({ grants, ...world }: World, body: unknown) {
  const { account_id: account } = readFields(body, { account_id: 'string' })
  return { families: grants.changePassword(accountOf(world, account)) }
}

/** Closes somebody's account, which ends what they have granted, or changes their profile. */
function changeAccount(world: World, body: unknown) {
  const { account_id: account, status } = readFields(body, {
    account_id: 'string',
    status: 'string'
  })
  const accountId = accountOf(world, account)
  const called = oneOf(status, ['closed', 'updated'] as const, 'status')
  world.accounts.set(accountId, { status: called, at: world.now() })
  return {
    grants: called === 'closed' ? world.grants.revoke({ accountId, clientId: undefined }) : 0
  }
}

function uninstall(world: World, body: unknown) {
  const { site, client_id: clientId } = readFields(body, { site: 'string', client_id: 'string?' })
  return {
    grants: world.grants.uninstall(siteOf(world, site).cloudId, clientId as string | undefined)
  }
}

/** Enables scopes on an app, instead of those it had. Grants keep theirs until the next consent. */
function setScopes(world: World, body: unknown) {
  const { client_id: id, scopes } = readFields(body, { client_id: 'string', scopes: 'strings' })
  const client = world.clients.get(String(id))
  if (client === undefined) throw new AdminError(`no client ${id}`)
  const unknown = (scopes as string[]).filter((scope) => !Object.hasOwn(SCOPES, scope))
  if (unknown.length > 0) throw new AdminError(`no such scope: ${unknown.join(', ')}`)
  world.clients.set(client.id, { ...client, scopes: scopes as string[] })
}

/** Takes a product of a site from a person, or from everybody, or gives it back. */
function setAccess(world: World, body: unknown) {
  const {
    site,
    product,
    account_id: account,
    granted
  } = readFields(body, {
    site: 'string',
    product: 'string',
    account_id: 'string?',
    granted: 'boolean'
  })
  const accounts =
    account === undefined
      ? world.users.map(({ accountId }) => accountId)
      : [accountOf(world, account)]
  for (const accountId of accounts) {
    world.access.set(
      accountId,
      siteOf(world, site).cloudId,
      oneOf(product, PRODUCTS, 'product'),
      granted === true
    )
  }
}

/** Everything, or one site, is refused until the top of the hour of world time; `exhaust: false` ends it. */
function setQuota(world: World, body: unknown) {
  const { exhaust, variant, site } = readFields(body, {
    exhaust: 'boolean',
    variant: 'string?',
    site: 'string?'
  })
  const called = oneOf(
    variant ?? (site === undefined ? 'global' : 'tenant'),
    QUOTA_VARIANTS,
    'variant'
  )
  world.limits.exhaustQuota(exhaust === true ? called : undefined, cloudIdOf(world, site))
}

/** Everything, or one site, is refused for `for_ms` of world time. */
function setBurst(world: World, body: unknown) {
  const {
    exhaust,
    variant = 'standard',
    for_ms: ms = BURST_MS,
    site
  } = readFields(body, {
    exhaust: 'boolean',
    variant: 'string?',
    for_ms: 'number?',
    site: 'string?'
  })
  world.limits.exhaustBurst(
    exhaust === true ? Number(ms) : 0,
    oneOf(variant, BURST_VARIANTS, 'variant'),
    cloudIdOf(world, site)
  )
}

/** Here no site means all of them. */
function cloudIdOf(world: World, site: unknown): string | undefined {
  return site === undefined ? undefined : siteOf(world, site).cloudId
}

/** How far search is behind from now on, for changes that it has not seen yet as well. */
function setLag(world: World, body: unknown) {
  const { ms } = readFields(body, { ms: 'number' })
  inRange(ms, 0, LONGEST_LAG_MS, 'ms')
  world.setIndexLag(Number(ms))
}

function stats({ stats, grants, limits }: World) {
  return { ...stats.read(), family_revocations: grants.reuses(), points: limits.points() }
}

function state(world: World) {
  return {
    now: new Date(world.now()).toISOString(),
    seed: world.seed,
    index_lag_ms: world.indexLagMs(),
    sites: world.sites.map(
      ({ name, cloudId, url, sizes, products, projects, issues, spaces, pages }) => ({
        name,
        cloudId,
        url,
        products,
        sizes,
        added: {
          projects: projects.end() - sizes.projects,
          issues: issues.end() - sizes.issues,
          spaces: spaces.end() - sizes.spaces,
          pages: pages.end() - sizes.pages
        }
      })
    ),
    users: world.users.map(({ accountId, name, nickname, timeZone }) => ({
      account_id: accountId,
      name,
      nickname,
      time_zone: timeZone
    })),
    clients: [...world.clients.values()].map(({ id, name, access, scopes }) => ({
      client_id: id,
      name,
      access,
      scopes
    })),
    grants: [...world.grants.all()].map(({ clientId, accountId, scopes, cloudIds, families }) => ({
      client_id: clientId,
      account_id: accountId,
      scopes,
      sites: [...cloudIds],
      families: families.size
    })),
    faults: world.faults.list().length
  }
}
