import { Type } from '@sinclair/typebox'
import { AppError } from '../../lib/errors.ts'
import { Nullable } from '../../http/schemas.ts'
import type { Items } from '../../model/items.ts'
import { isRecord, text } from '../../lib/json.ts'
import type { Batch, Collection, Failed, Reader } from '../provider.ts'
import {
  age,
  chain,
  instant,
  isId,
  isThere,
  judged,
  optional,
  sized,
  tooLong,
  unfit
} from '../paging.ts'

type IssueBatch = Batch<Items['issues']>

/** Most ids in one answer, and most issues (atlassian.md section 8.3). */
const IDS = 5_000
const FETCHED = 100
const FIELDS = ['summary', 'status', 'issuetype', 'project', 'assignee', 'created', 'updated']
/** Every query has to be bounded (atlassian.md section 8.3). */
const ALL = 'project is not EMPTY'
/** The count that Atlassian gives is an estimate: a listing that shows less than this share of it is not believed to be complete. */
const COMPLETE_SHARE = 0.95
const FEW = 5

export const issues: Collection<'issues'> = {
  name: 'issues',
  row: {
    issue_id: Type.String({ example: '10042' }),
    key: Type.String({ example: 'PAY-7' }),
    project_key: Type.String({ example: 'PAY' }),
    summary: Type.String({ example: 'Retry on 502' }),
    status: Nullable(Type.String({ example: 'In Progress' })),
    issue_type: Nullable(Type.String({ example: 'Bug' })),
    assignee: Nullable(Type.String({ example: 'Dana Fox' })),
    created_at: Nullable(
      Type.String({ description: 'ISO 8601, UTC', example: '2026-05-01T09:00:00.000Z' })
    ),
    url: Nullable(Type.String({ example: 'https://acme.atlassian.net/browse/PAY-7' }))
  },
  toWire: ({
    issueId,
    key,
    projectKey,
    summary,
    status,
    issueType,
    assignee,
    remoteCreatedAt,
    url
  }) => ({
    issue_id: issueId,
    key,
    project_key: projectKey,
    summary,
    status,
    issue_type: issueType,
    assignee,
    created_at: remoteCreatedAt?.toISOString() ?? null,
    url
  }),
  sortValue: ({ key }) => key,
  within: { name: 'project', description: 'The key of their project', example: 'PAY' },

  /**
   * Ids by the thousand, in the order of creation, and then the issues by the hundred. The cursor is the moment that the last of
   * them was created: a chain of pages may not be long, and a token may be too old to go on with, so both begin anew from
   * there, and what this listing has read already is not read again.
   */
  async *list(reader, cursor) {
    const expected = await count(reader)
    const about = { expected, atLeast: Math.floor(expected * COMPLETE_SHARE) - FEW }
    let [from, end] = [cursor === null ? null : Number(cursor), false]
    while (!end) {
      const links = chain(reader, from)
      for await (const { ids, failed, last } of search(
        reader,
        `${from === null ? ALL : `created >= "${age(reader, from)}"`} order by created asc`,
        ['id'],
        IDS
      )) {
        for (let i = 0; i < Math.max(1, ids.length); i += FETCHED) {
          const { batch, newest } = await unread(
            reader,
            ids.slice(i, i + FETCHED).map(({ id }) => id)
          )
          links.read(FETCHED, newest)
          end = last && i + FETCHED >= ids.length
          yield {
            ...batch,
            failed: i === 0 ? [...failed, ...batch.failed] : batch.failed,
            next: end ? null : String(links.at() ?? 0),
            ...about
          }
        }
        if (!end && links.isOver()) break
      }
      from = links.at()
    }
  },

  async *changes(reader, since) {
    let [from, end] = [since, false]
    while (!end) {
      const links = chain(reader, from)
      for await (const { ids, failed, last } of search(
        reader,
        `updated >= "${age(reader, from)}" order by updated asc`,
        ['updated'],
        FETCHED
      )) {
        const known = await reader.stored(
          'issues',
          ids.map(({ id }) => id)
        )
        const news = ids.filter(
          ({ id, updated }) =>
            updated === null || Number(known.get(id)?.remote_updated_at ?? -1) < updated.getTime()
        )
        const newest = ids.at(-1)?.updated?.getTime() ?? null
        links.read(ids.length, newest)
        end = last
        const batch = await fetch(
          reader,
          news.map(({ id }) => id)
        )
        yield { ...batch, failed: [...failed, ...batch.failed], newest }
        if (!end && links.isOver()) break
      }
      from = links.at() ?? from
    }
  },

  fetch,
  look: async (reader, id) =>
    isId(id)
      ? await isThere(async () => await reader.get(`/rest/api/3/issue/${id}`, { fields: 'id' }))
      : undefined
}

interface Found {
  ids: Array<{ id: string; updated: Date | null }>
  failed: Failed[]
  last: boolean
}

/** Pages by token; a token that comes again would go on for ever (atlassian.md section 14, surprise 15). */
async function* search(
  reader: Reader,
  jql: string,
  fields: string[],
  maxResults: number
): AsyncGenerator<Found> {
  const tokens = new Set<string>()
  const page = sized(maxResults)
  let token: string | null = null
  do {
    const place: object = token === null ? {} : { nextPageToken: token }
    const answer = await page(
      async (size) =>
        await reader.post('/rest/api/3/search/jql', { jql, fields, maxResults: size, ...place })
    )
    if (!isRecord(answer) || !Array.isArray(answer.issues)) {
      throw new AppError(
        'upstream_invalid_answer',
        'Jira listed issues in a form this service does not know.'
      )
    }
    token = text(answer.nextPageToken)
    if (token !== null && tokens.has(token)) {
      throw new AppError('upstream_invalid_answer', 'Jira repeats a page of its search.')
    }
    if (token !== null) tokens.add(token)
    const found = answer.issues.map((value) =>
      isRecord(value)
        ? { id: text(value.id), updated: instant(optional(value.fields, 'updated')) }
        : { id: null, updated: null }
    )
    const ids = found.filter((each): each is Found['ids'][number] => each.id !== null)
    const failed = found.slice(ids.length).map(() => unfit(null, 'It has no id.'))
    yield { ids, failed, last: token === null }
  } while (token !== null)
}

/** Of some ids what this listing has not read yet, and when the last of all of them was created. */
async function unread(
  reader: Reader,
  ids: string[]
): Promise<{ batch: IssueBatch; newest: number | null }> {
  const stored = await reader.stored('issues', ids)
  const batch = await fetch(
    reader,
    ids.filter((id) => stored.get(id)?.pass !== reader.pass)
  )
  const created = [
    ...batch.items.map(({ item }) => item.remoteCreatedAt?.getTime()),
    ...ids.map((id) => stored.get(id)?.remote_created_at)
  ]
  const newest = Math.max(...created.filter((at) => typeof at === 'number'))
  return { batch, newest: Number.isFinite(newest) ? newest : null }
}

async function fetch(reader: Reader, ids: readonly string[]): Promise<IssueBatch> {
  const found: unknown[] = []
  const page = sized(FETCHED)
  for (let i = 0; i < ids.length;) {
    const answer = await page(async (size) => {
      const some = ids.slice(i, i + size)
      const fetched = await reader.post('/rest/api/3/issue/bulkfetch', {
        issueIdsOrKeys: some,
        fields: FIELDS
      })
      i += some.length
      return fetched
    })
    if (!isRecord(answer) || !Array.isArray(answer.issues)) {
      throw new AppError(
        'upstream_invalid_answer',
        'Jira answered with issues in a form this service does not know.'
      )
    }
    found.push(...answer.issues)
  }
  return { ...judged(found, (value) => issue(value, reader)), next: null }
}

async function count(reader: Reader): Promise<number> {
  const answer = await reader.post('/rest/api/3/search/approximate-count', { jql: ALL })
  return isRecord(answer) ? Number(answer.count) || 0 : 0
}

function issue(value: Record<string, unknown>, { site }: Reader) {
  const fields = isRecord(value.fields) ? value.fields : {}
  const [remoteId, key] = [text(value.id), text(value.key)]
  if (remoteId === null || key === null) return unfit(remoteId, 'It has no id or no key.')
  const item: Items['issues'] = {
    issueId: remoteId,
    key,
    projectKey: optional(fields.project, 'key') ?? key.replace(/-\d+$/, ''),
    summary: text(fields.summary) ?? '',
    status: optional(fields.status, 'name'),
    issueType: optional(fields.issuetype, 'name'),
    assignee: optional(fields.assignee, 'displayName'),
    remoteCreatedAt: instant(fields.created),
    remoteUpdatedAt: instant(fields.updated),
    url: `${site.url}/browse/${encodeURIComponent(key)}`
  }
  const problem = tooLong({
    key,
    summary: item.summary,
    status: item.status ?? null,
    type: item.issueType ?? null,
    assignee: item.assignee ?? null,
    'project key': item.projectKey
  })
  return problem === undefined ? { remoteId, item } : unfit(remoteId, problem)
}
