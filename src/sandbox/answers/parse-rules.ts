import { COLLECTIONS } from '../data/collections.ts'
import { AdminError, readFields, requireIntegerInRange, requireOneOf } from '../admin/fields.ts'
import {
  ACCOUNT_HEADERS,
  BULK_LIMITS,
  DEAD_TOKENS,
  EMPTY_PAGE_CURSORS,
  LARGE_PAGE_STATUSES,
  PLAIN_RULES,
  RATE_HEADERS,
  RATE_VARIANTS,
  REPEAT_TOKENS
} from './rules.ts'
import type { AnswerRules, ListOmission, SearchWarning } from './rules.ts'

const MAX_COUNT = 1_000_000
const DEFAULT_WARNING: SearchWarning = {
  type: 'RESULT_SET_TRUNCATED',
  message: 'The result set was truncated due to an ingestion limit.'
}

type Fields = Record<string, unknown>

/**
 * Reads the JSON of `PUT sites/{site}/answers`.
 *
 * @throws {AdminError} for unknown members and invalid values
 */
export function parseAnswerRules(body: unknown): AnswerRules {
  const fields = readFields(body, {
    issue_errors: 'strings?',
    search_warnings: 'any?',
    truncate_at: 'number?',
    list_omits: 'any?',
    repeat_tokens: 'string?',
    empty_pages: 'object?',
    large_pages: 'object?',
    failing_items: 'strings?',
    count: 'object?',
    dead_token: 'string?',
    account_header: 'string?',
    live_docs: 'strings?',
    deprecated: 'any?',
    rate_headers: 'string?',
    rate_variant: 'string?',
    bulk_limit: 'number?'
  })
  const chosen = <T>(name: string, options: readonly T[]): T | undefined =>
    fields[name] === undefined ? undefined : requireOneOf(fields[name], options, `body.${name}`)
  const idSet = (name: string) => new Set((fields[name] ?? []) as string[])
  return {
    issueErrors: idSet('issue_errors'),
    failingItems: idSet('failing_items'),
    liveDocs: idSet('live_docs'),
    searchWarnings: parseWarnings(fields.search_warnings ?? false),
    truncateAt: parseCount(fields.truncate_at, 0, 'body.truncate_at'),
    listOmits: [fields.list_omits ?? []].flat().map(parseOmission),
    repeatTokens: chosen('repeat_tokens', REPEAT_TOKENS),
    emptyPages: parseEmptyPages(fields.empty_pages),
    largePages: parseLargePages(fields.large_pages),
    count: parseCountRule(fields.count),
    deadToken: chosen('dead_token', DEAD_TOKENS),
    accountHeader: chosen('account_header', ACCOUNT_HEADERS) ?? PLAIN_RULES.accountHeader,
    deprecated: parseDeprecated(fields.deprecated ?? []),
    rateHeaders: chosen('rate_headers', RATE_HEADERS) ?? PLAIN_RULES.rateHeaders,
    rateVariant: chosen('rate_variant', RATE_VARIANTS) ?? PLAIN_RULES.rateVariant,
    bulkLimit: chosen('bulk_limit', BULK_LIMITS) ?? PLAIN_RULES.bulkLimit
  }
}

function parseWarnings(value: unknown): SearchWarning[] {
  if (typeof value === 'boolean') return value ? [DEFAULT_WARNING] : []
  return parseList(value, 'body.search_warnings').map(
    (entry) =>
      readFields(
        entry,
        { type: 'string', message: 'string' },
        'body.search_warnings'
      ) as unknown as SearchWarning
  )
}

function parseOmission(entry: unknown): ListOmission {
  const where = 'body.list_omits'
  const { collection, share, ids, listings } = readFields(
    entry,
    { collection: 'string', share: 'number?', ids: 'strings?', listings: 'number' },
    where
  )
  requireIntegerInRange(listings, 1, MAX_COUNT, `${where}.listings`)
  if ((share === undefined) === (ids === undefined)) {
    throw new AdminError(`${where} must have either share or ids`)
  }
  if (share !== undefined && !(Number(share) >= 0 && Number(share) <= 1)) {
    throw new AdminError(`${where}.share must be a number from 0 to 1`)
  }
  return {
    collection: requireOneOf(collection, COLLECTIONS, `${where}.collection`),
    share: share as number | undefined,
    ids: ids as string[] | undefined,
    listings: Number(listings)
  }
}

function parseEmptyPages(value: unknown): AnswerRules['emptyPages'] {
  if (value === undefined) return undefined
  const where = 'body.empty_pages'
  const { count, cursors = 'new' } = readFields(value, { count: 'any', cursors: 'string?' }, where)
  if (count !== 'endless') requireIntegerInRange(count, 1, MAX_COUNT, `${where}.count`)
  return {
    count: count === 'endless' ? Number.POSITIVE_INFINITY : Number(count),
    cursors: requireOneOf(cursors, EMPTY_PAGE_CURSORS, `${where}.cursors`)
  }
}

function parseLargePages(value: unknown): AnswerRules['largePages'] {
  if (value === undefined) return undefined
  const where = 'body.large_pages'
  const {
    above,
    status,
    cursor_bound: cursorBound = false
  } = readFields(value, { above: 'number', status: 'any', cursor_bound: 'boolean?' }, where)
  requireIntegerInRange(above, 0, MAX_COUNT, `${where}.above`)
  return {
    above: Number(above),
    status: requireOneOf(status, LARGE_PAGE_STATUSES, `${where}.status`),
    cursorBound: cursorBound === true
  }
}

function parseCountRule(value: unknown = {}): AnswerRules['count'] {
  const { factor, status } = readFields(
    value,
    { factor: 'number?', status: 'number?' },
    'body.count'
  ) as { factor?: number; status?: number }
  if (status !== undefined) requireIntegerInRange(status, 400, 599, 'body.count.status')
  return { ...(factor !== undefined && { factor }), ...(status !== undefined && { status }) }
}

function parseDeprecated(value: unknown): AnswerRules['deprecated'] {
  return parseList(value, 'body.deprecated').map((entry) => {
    const { path, sunset } = readFields(
      entry,
      { path: 'string', sunset: 'string?' },
      'body.deprecated'
    ) as Fields
    return { path: String(path), sunset: sunset as string | undefined }
  })
}

function parseList(value: unknown, where: string): unknown[] {
  if (!Array.isArray(value)) throw new AdminError(`${where} must be a list`)
  return value
}

function parseCount(value: unknown, min: number, where: string): number | undefined {
  if (value === undefined) return undefined
  requireIntegerInRange(value, min, MAX_COUNT, where)
  return Number(value)
}
