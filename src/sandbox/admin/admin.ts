import { ok, type SandboxResponse } from '../gateway/answer.ts'
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
import { resolveAccountId, setRestriction, setCorruption } from './admin-items.ts'
import { readAnswers, setAnswers } from './admin-answers.ts'
import { setBurstLimit, setIndexLag, setLedger, setQuota } from './admin-limits.ts'
import { readState, readStats } from './admin-state.ts'
import { FAULT_KINDS } from './faults.ts'
import {
  AdminError,
  requireOneOf,
  readFields,
  resolveSite,
  requireIntegerInRange
} from './fields.ts'
import { TOKEN_FORMATS } from '../oauth/jwt.ts'
import { MISSING_SECRET_TEXTS } from '../oauth/token-endpoint.ts'
import type { SandboxState } from '../state.ts'

/** @param id the part of the path after the name, as in `projects/{id}` */
type AdminAction = (state: SandboxState, body: unknown, id: string) => unknown

const ACTIONS: Record<string, AdminAction> = {
  'GET state': readState,
  'GET stats': readStats,
  'GET faults': ({ faults }) => faults.list(),
  'POST faults': addFault,
  'DELETE faults': ({ faults }) => faults.clear(),
  'POST clock': advanceClock,
  'POST revoke': revokeGrants,
  'POST password-change': changePassword,
  'POST account': setAccountStatus,
  'POST uninstall': uninstallApp,
  'POST scopes': setClientScopes,
  'POST tokens': setTokenRules,
  'POST product-access': setProductAccess,
  'GET sites/': readAnswers,
  'PUT sites/': setAnswers,
  'PUT ledger': setLedger,
  'POST quota': setQuota,
  'POST burst': setBurstLimit,
  'POST lag': setIndexLag,
  'POST restrict': setRestriction,
  'POST spoil': setCorruption,
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
 * Handles one call of the admin API, with which tests and demos control the sandbox. Bodies and
 * responses are JSON; an unknown field is a 400 that names it.
 *
 * @param path below `/admin/`
 */
export function handleAdminCall(
  state: SandboxState,
  method: string,
  path: string,
  body: unknown
): SandboxResponse {
  const [name, ...rest] = path.split('/')
  const id = rest.join('/')
  const action = ACTIONS[`${method} ${name}${id === '' ? '' : '/'}`]
  if (action === undefined) {
    return {
      status: 404,
      body: {
        error: `no admin call ${method} ${path}. Known: ${Object.keys(ACTIONS)
          .map((route) => route.replace(/\/$/, '/{id}'))
          .join(', ')}`
      }
    }
  }
  try {
    return ok(action(state, body ?? {}, id) ?? { ok: true })
  } catch (error) {
    if (error instanceof AdminError) return { status: 400, body: { error: error.message } }
    throw error
  }
}

function addFault({ faults }: SandboxState, body: unknown) {
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
  const matchFields = readFields(match, { path: 'string?', method: 'string?' }, 'match')
  requireIntegerInRange(times, 0, 1_000_000, 'times')
  requireIntegerInRange(skip, 0, 1_000_000, 'skip')
  requireIntegerInRange(rest.status ?? 200, 200, 599, 'status')
  faults.add({
    match: matchFields,
    times: Number(times),
    skip: Number(skip),
    kind: requireOneOf(kind, FAULT_KINDS, 'kind'),
    ...rest
  })
}

function advanceClock({ clock, now }: SandboxState, body: unknown) {
  const { advance_ms: ms } = readFields(body, { advance_ms: 'number' })
  clock.advance(Number(ms))
  return { now: new Date(now()).toISOString() }
}

function revokeGrants({ grants, ...state }: SandboxState, body: unknown) {
  const { client_id: clientId, account_id: account } = readFields(body, {
    client_id: 'string?',
    account_id: 'string?'
  })
  return {
    grants: grants.revoke({
      clientId: clientId as string | undefined,
      accountId: account === undefined ? undefined : resolveAccountId(state, account)
    })
  }
}

function changePassword({ grants, ...state }: SandboxState, body: unknown) {
  const { account_id: account } = readFields(body, { account_id: 'string' })
  return { families: grants.changePassword(resolveAccountId(state, account)) }
}

/** Closes an account, which revokes its grants, or marks its profile as updated. */
function setAccountStatus(state: SandboxState, body: unknown) {
  const { account_id: account, status } = readFields(body, {
    account_id: 'string',
    status: 'string'
  })
  const accountId = resolveAccountId(state, account)
  const accountStatus = requireOneOf(status, ['closed', 'updated'] as const, 'status')
  state.accounts.set(accountId, { status: accountStatus, at: state.now() })
  return {
    grants: accountStatus === 'closed' ? state.grants.revoke({ accountId }) : 0
  }
}

function uninstallApp(state: SandboxState, body: unknown) {
  const { site, client_id: clientId } = readFields(body, { site: 'string', client_id: 'string?' })
  return {
    grants: state.grants.removeSite(
      resolveSite(state, site).cloudId,
      clientId as string | undefined
    )
  }
}

/** Sets the format of the tokens issued from now on, and the answer to a missing secret. */
function setTokenRules(state: SandboxState, body: unknown) {
  const { format, missing_secret: missingSecret } = readFields(body, {
    format: 'string?',
    missing_secret: 'string?'
  })
  if (format !== undefined) {
    state.signer.setFormat(requireOneOf(format, TOKEN_FORMATS, 'format'))
  }
  if (missingSecret !== undefined) {
    const names = ['unauthorized', 'parameters'] as const
    state.missingSecretText =
      MISSING_SECRET_TEXTS[requireOneOf(missingSecret, names, 'missing_secret')]
  }
}

/**
 * Replaces the scopes that are enabled on an app. Existing grants keep theirs until the next
 * consent.
 */
function setClientScopes(state: SandboxState, body: unknown) {
  const { client_id: id, scopes } = readFields(body, { client_id: 'string', scopes: 'strings' })
  const client = state.clients.get(String(id))
  if (client === undefined) throw new AdminError(`no client ${id}`)
  const unknownScopes = (scopes as string[]).filter((scope) => !Object.hasOwn(state.scopes, scope))
  if (unknownScopes.length > 0) throw new AdminError(`no such scope: ${unknownScopes.join(', ')}`)
  state.clients.set(client.id, { ...client, scopes: scopes as string[] })
}

/** Revokes or restores the access of one account, or of all, to a product of a site. */
function setProductAccess(state: SandboxState, body: unknown) {
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
      ? state.users.map(({ accountId }) => accountId)
      : [resolveAccountId(state, account)]
  for (const accountId of accounts) {
    state.access.set(
      accountId,
      resolveSite(state, site).cloudId,
      requireOneOf(
        product,
        state.products.map(({ id }) => id),
        'product'
      ),
      granted === true
    )
  }
}
