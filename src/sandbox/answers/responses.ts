import { isPathMatch } from '../admin/faults.ts'
import type { SandboxResponse } from '../gateway/answer.ts'
import type { AnswerRules } from './rules.ts'

const LIST_MEMBERS = ['values', 'issues', 'results'] as const
const DEPRECATED_SINCE = 'Wed, 1 Mar 2023 00:00:00 GMT'
const DEPRECATION_LINK =
  '<https://developer.atlassian.com/changelog/#CHANGE-864>; rel="deprecation"'

type JsonObject = Record<string, unknown>

/** Fails pages that are too large or contain a failing item. */
export function failPage(rules: AnswerRules, response: SandboxResponse): SandboxResponse {
  if (rules.largePages === undefined && rules.failingItems.size === 0) return response
  const items = response.status === 200 ? readItems(response.body) : undefined
  if (items === undefined) return response
  if (items.some((item) => hasContent(item) && rules.failingItems.has(readId(item)))) {
    return failure(500)
  }
  const { largePages } = rules
  if (largePages === undefined || items.length <= largePages.above) return response
  if (largePages.status === 'timeout') return { ...response, isHanging: true }
  if (largePages.status !== 'cut-json') return failure(largePages.status)
  const text = JSON.stringify(response.body)
  return { ...response, body: text.slice(0, Math.floor(text.length / 2)) }
}

function failure(status: number): SandboxResponse {
  return { status, body: { message: 'Internal server error', 'status-code': status } }
}

function readItems(body: unknown): JsonObject[] | undefined {
  if (typeof body !== 'object' || body === null) return undefined
  const lists = LIST_MEMBERS.map((name) => (body as JsonObject)[name])
  return lists.find((list) => Array.isArray(list)) as JsonObject[] | undefined
}

/** A search for nothing but ids reads no contents that could fail. */
function hasContent(item: JsonObject): boolean {
  return Object.keys(item).length > 1
}

/** Rows of a CQL search have the id in their content. */
function readId(item: JsonObject): string {
  return String(item.id ?? (item.content as JsonObject | undefined)?.id)
}

/** The headers that announce a removal (docs/reference/atlassian.md#7-gateway). */
export function deprecationHeaders(
  { deprecated }: AnswerRules,
  path: string,
  ownHeaders: Record<string, string> = {}
): Record<string, string> {
  const rule = deprecated.find((candidate) => isPathMatch(candidate.path, path))
  if (rule === undefined) return {}
  const links = [ownHeaders.Link, DEPRECATION_LINK].filter((link) => link !== undefined)
  return {
    deprecation: DEPRECATED_SINCE,
    Link: links.join(', '),
    warning: `299 - "Deprecated API, will be removed on ${rule.sunset ?? 'a later date'}"`,
    ...(rule.sunset !== undefined && { sunset: rule.sunset })
  }
}
