import { Type } from '@sinclair/typebox'
import { AppError } from '../../lib/errors.ts'
import { Nullable, OptionalText, Text, Url } from '../../http/schemas.ts'
import type { Items } from '../../model/items.ts'
import { isRecord, text } from '../../lib/json.ts'
import type { Collection, Reader } from '../provider.ts'
import { isId, isThere, judged, optional, sized, tooLong, unfit } from '../paging.ts'

const PAGE = 100

export const projects: Collection<'projects'> = {
  name: 'projects',
  neverEmpty: true,
  posting: {
    body: {
      key: Text(255, 'The project key', 'PAY'),
      name: Text(255, 'The project name', 'Payments'),
      lead: OptionalText(255, 'Who leads it', 'Dana Fox'),
      url: Type.Optional(Nullable(Url))
    },
    fromWire: ({ key, name, lead, url }) => ({
      remoteId: key as string,
      item: {
        key: key as string,
        name: name as string,
        lead: (lead as string) ?? null,
        url: (url as string) ?? null
      }
    })
  },
  row: {
    key: Type.String({ example: 'PAY' }),
    name: Type.String({ example: 'Payments' }),
    lead: Nullable(Type.String({ example: 'Dana Fox' })),
    url: Nullable(Type.String({ example: 'https://acme.atlassian.net/browse/PAY' }))
  },
  toWire: ({ key, name, lead, url }) => ({ key, name, lead, url }),
  sortValue: ({ key }) => key,
  within: { name: 'project', description: 'The key of the only project', example: 'PAY' },
  /** `project/search` counts offsets; they advance by what came, not by what was asked (atlassian.md section 8.1). */
  async *list(reader, cursor) {
    const page = sized(PAGE)
    let startAt = Number(cursor ?? 0)
    while (true) {
      const answer = await page(
        async (size) =>
          await reader.get('/rest/api/3/project/search', {
            startAt: String(startAt),
            maxResults: String(size),
            expand: 'lead',
            orderBy: 'key'
          })
      )
      if (!isRecord(answer) || !Array.isArray(answer.values)) {
        throw new AppError(
          'upstream_invalid_answer',
          'Jira listed projects in a form this service does not know.'
        )
      }
      startAt += answer.values.length
      const total = Number(answer.total ?? NaN)
      const last = answer.isLast === true || answer.values.length === 0 || startAt >= total
      yield {
        ...judged(answer.values, (value) => project(value, reader)),
        next: last ? null : String(startAt),
        expected: Number.isNaN(total) ? null : total,
        ...(Number.isNaN(total) ? {} : { atLeast: total })
      }
      if (last) return
    }
  },
  look: async (reader, id) =>
    isId(id) ? await isThere(async () => await reader.get(`/rest/api/3/project/${id}`)) : undefined
}

function project(value: Record<string, unknown>, { site }: Reader) {
  const [remoteId, key] = [text(value.id), text(value.key)]
  if (remoteId === null || key === null) return unfit(remoteId, 'It has no id or no key.')
  const item: Items['projects'] = {
    key,
    name: text(value.name) ?? key,
    lead: optional(value.lead, 'displayName'),
    url: `${site.url}/browse/${encodeURIComponent(key)}`,
    remoteUpdatedAt: null
  }
  const problem = tooLong({ key: item.key, name: item.name, lead: item.lead ?? null })
  return problem === undefined ? { remoteId, item } : unfit(remoteId, problem)
}
