import { Type } from '@sinclair/typebox'
import { AppError } from '../errors.ts'
import type { Collection, Provider, Read } from './provider.ts'
import { Nullable, OptionalText, Text, Url } from '../schemas.ts'
import { isRecord, text } from './json.ts'

const PAGE = 100

const projects: Collection<'projects'> = {
  name: 'projects',
  body: {
    key: Text(255, 'The project key', 'PAY'),
    name: Text(255, 'The project name', 'Payments'),
    lead: OptionalText(255, 'Who leads it', 'Dana Fox'),
    url: Type.Optional(Nullable(Url))
  },
  row: { key: Type.String({ example: 'PAY' }), name: Type.String({ example: 'Payments' }), lead: Nullable(Type.String({ example: 'Dana Fox' })), url: Nullable(Type.String({ example: 'https://acme.atlassian.net/browse/PAY' })) },
  fromWire: ({ key, name, lead, url }) => ({
    remoteId: key as string,
    item: { key: key as string, name: name as string, lead: lead as string ?? null, url: url as string ?? null }
  }),
  toWire: ({ key, name, lead, url }) => ({ key, name, lead, url }),
  sortValue: ({ key }) => key,
  /** `project/search` counts offsets; they advance by what came, not by what was asked (atlassian.md section 8.1). */
  async * pages (read: Read, site, cursor) {
    let startAt = Number(cursor ?? 0)
    while (true) {
      const page = await read('/rest/api/3/project/search', { startAt: String(startAt), maxResults: String(PAGE), expand: 'lead', orderBy: 'key' })
      if (!isRecord(page) || !Array.isArray(page.values)) throw new AppError('upstream_invalid_answer', 'Jira listed projects in a form this service does not know.')
      startAt += page.values.length
      const last = page.isLast === true || page.values.length === 0 || startAt >= Number(page.total ?? Infinity)
      const items = page.values.filter(isRecord).flatMap((value) => {
        const [remoteId, key, name] = [text(value.id), text(value.key), text(value.name)]
        if (remoteId === null || key === null) return []
        return [{
          remoteId,
          item: { key, name: name ?? key, lead: isRecord(value.lead) ? text(value.lead.displayName) : null, url: `${site.url}/browse/${encodeURIComponent(key)}` }
        }]
      })
      yield { items, next: last ? null : String(startAt) }
      if (last) return
    }
  }
}

const granular = (...names: string[]) => names.map((name) => `read:${name}:jira`)

/** The granular sets are all or nothing (atlassian.md section 6). */
const features: Provider['features'] = [
  { name: 'projects', copies: 'projects', scopes: [['read:jira-work'], granular('project', 'issue-type', 'project.property', 'user', 'application-role', 'avatar', 'group', 'issue-type-hierarchy', 'project-category', 'project-version', 'project.component')] },
  { name: 'issues', scopes: [['read:jira-work'], granular('issue-details', 'audit-log', 'avatar', 'field-configuration', 'issue-meta')] },
  { name: 'webhooks', scopes: [['read:jira-work', 'manage:jira-webhook'], ['read:webhook:jira', 'write:webhook:jira', 'delete:webhook:jira', 'read:jql:jira', 'read:field:jira', 'read:project:jira']] },
  { name: 'identity', scopes: [['read:me']] }
]

export const jira: Provider = {
  id: 'jira',
  title: 'Jira',
  scopes: ['read:jira-work', 'read:jira-user', 'read:me', 'offline_access'],
  features,
  ownsScope: (scope) => /jira/.test(scope),
  basePath: '',
  returnPath: '/oauth/jira',
  returnQuery: {},
  collections: [projects]
}
