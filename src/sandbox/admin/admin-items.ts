import { COLLECTIONS } from '../data/collections.ts'
import type { CollectionName } from '../data/collections.ts'
import {
  AdminError,
  requireIntegerInRange,
  requireOneOf,
  readFields,
  resolveSite
} from './fields.ts'
import type { SandboxSite } from '../data/sites.ts'
import type { SandboxState } from '../state.ts'

const MAX_REPEATS = 100
const COLLECTION_BY_KIND: Record<string, CollectionName> = {
  project: 'projects',
  issue: 'issues',
  space: 'spaces',
  page: 'pages'
}

/** Hides an item and its children from one account or from every account, or shows them again. */
export function setRestriction(state: SandboxState, body: unknown) {
  const {
    site: name,
    account_id: account,
    restricted,
    ...targets
  } = readFields(body, {
    site: 'string?',
    project: 'string?',
    issue: 'string?',
    space: 'string?',
    page: 'string?',
    account_id: 'string?',
    restricted: 'boolean'
  })
  const [chosen, ...others] = Object.entries(targets).filter(([, id]) => id !== undefined)
  const collection = COLLECTION_BY_KIND[chosen?.[0] ?? '']
  if (chosen === undefined || collection === undefined || others.length > 0) {
    throw new AdminError(`body must name one of ${Object.keys(COLLECTION_BY_KIND).join(', ')}`)
  }
  const site = resolveSite(state, name)
  const accountId = account === undefined ? undefined : resolveAccountId(state, account)
  site.restrictions.set(
    collection,
    resolvePosition(site, collection, String(chosen[1])),
    restricted === true,
    accountId
  )
}

/** Replaces fields of an item in every response; `fields: null` removes the replacement. */
export function setCorruption(state: SandboxState, body: unknown) {
  const {
    site: name,
    collection: collectionName,
    id,
    fields = {},
    omit = [],
    repeat = 1
  } = readFields(body, {
    site: 'string?',
    collection: 'string',
    id: 'string',
    fields: 'any?',
    omit: 'strings?',
    repeat: 'number?'
  })
  if (fields !== null && (typeof fields !== 'object' || Array.isArray(fields))) {
    throw new AdminError('body.fields must be an object or null')
  }
  requireIntegerInRange(repeat, 1, MAX_REPEATS, 'repeat')
  const collection = requireOneOf(collectionName, COLLECTIONS, 'collection')
  const site = resolveSite(state, name)
  const corruption =
    fields === null
      ? undefined
      : {
          fields: fields as Record<string, unknown>,
          omit: omit as string[],
          repeat: Number(repeat)
        }
  if (
    !site.corruptions.set(collection, resolvePosition(site, collection, String(id)), corruption)
  ) {
    throw new AdminError('too many items are corrupted')
  }
}

/** Finds an item by its id, or by its key if the collection has keys. */
function resolvePosition(site: SandboxSite, collection: CollectionName, name: string): number {
  const row =
    collection === 'pages'
      ? site.pages.findById(name)
      : (site[collection].findById(name) ?? site[collection].findByKey(name))
  if (row === undefined) throw new AdminError(`no ${collection.slice(0, -1)} ${name}`)
  return row.position
}

/** Resolves an account id or a nickname. */
export function resolveAccountId({ users }: Pick<SandboxState, 'users'>, name: unknown): string {
  const user = users.find(({ accountId, nickname }) => accountId === name || nickname === name)
  if (user === undefined) throw new AdminError(`no account ${name}`)
  return user.accountId
}
