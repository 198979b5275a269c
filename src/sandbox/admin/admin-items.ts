import { COLLECTIONS } from '../data/collections.ts'
import type { Collection } from '../data/collections.ts'
import { AdminError, inRange, oneOf, readFields, siteOf } from './fields.ts'
import type { Site } from '../data/sites.ts'
import type { World } from '../state.ts'

const MOST_REPEATS = 100
const NAMES: Record<string, Collection> = {
  project: 'projects',
  issue: 'issues',
  space: 'spaces',
  page: 'pages'
}

/** Hides a thing, and what is in it, from one account or from everybody, or shows it again. */
export function restrict(world: World, body: unknown) {
  const {
    site: name,
    account_id: account,
    restricted,
    ...things
  } = readFields(body, {
    site: 'string?',
    project: 'string?',
    issue: 'string?',
    space: 'string?',
    page: 'string?',
    account_id: 'string?',
    restricted: 'boolean'
  })
  const named = Object.entries(things).filter(([, id]) => id !== undefined)
  if (named.length !== 1) {
    throw new AdminError(`body must name one of ${Object.keys(NAMES).join(', ')}`)
  }
  const [[kind, id]] = named
  const site = siteOf(world, name)
  const accountId = account === undefined ? undefined : accountOf(world, account)
  site.restrictions.set(
    NAMES[kind],
    positionOf(site, NAMES[kind], String(id)),
    restricted === true,
    accountId
  )
}

/** Makes an item look other than it is, wherever it is shown; `fields: null` ends that. */
export function spoil(world: World, body: unknown) {
  const {
    site: name,
    collection: given,
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
  inRange(repeat, 1, MOST_REPEATS, 'repeat')
  const collection = oneOf(given, COLLECTIONS, 'collection')
  const site = siteOf(world, name)
  const spoilt =
    fields === null
      ? undefined
      : {
          fields: fields as Record<string, unknown>,
          omit: omit as string[],
          repeat: Number(repeat)
        }
  if (!site.spoils.set(collection, positionOf(site, collection, String(id)), spoilt)) {
    throw new AdminError('too many items are spoilt')
  }
}

/** By id, or by key where there is one. */
function positionOf(site: Site, collection: Collection, name: string): number {
  const row =
    collection === 'pages'
      ? site.pages.byId(name)
      : (site[collection].byId(name) ?? site[collection].byKey(name))
  if (row === undefined) throw new AdminError(`no ${collection.slice(0, -1)} ${name}`)
  return row.position
}

/** By account id or nickname. */
export function accountOf({ users }: Pick<World, 'users'>, name: unknown): string {
  const user = users.find(({ accountId, nickname }) => accountId === name || nickname === name)
  if (user === undefined) throw new AdminError(`no account ${name}`)
  return user.accountId
}
