import { Type } from '@sinclair/typebox'
import { Nullable } from '../../src/lib/typebox.ts'
import { isRecord, toStorableText } from '../../src/lib/json.ts'
import type { Item, ItemTableShape } from '../../src/model/items.ts'
import { checkExists, createInvalidItem, isId, parseItems } from '../../src/providers/paging.ts'
import { listDefaultScopes, type Endpoint } from '../../src/providers/endpoint.ts'
import { IDENTITY_FEATURE, type Collection, type Provider } from '../../src/providers/provider.ts'
import { gatewayError, ok } from '../../src/sandbox/gateway/answer.ts'
import { defineEndpoint } from '../../src/sandbox/gateway/call.ts'
import type { SandboxProduct } from '../../src/sandbox/state.ts'

/** A product that the service does not have: its descriptor, and its half of the sandbox. */

const SCOPE = 'read:component:compass'
const PAGE_SIZE = 2
const COMPONENT_NAMES = ['Billing', 'Checkout', 'Ledger', 'Payouts', 'Search']

const table = {
  name: 'components',
  columns: {
    name: { kind: 'ordered' },
    team: { kind: 'text' },
    tier: { kind: 'integer', isNullable: true },
    releasedAt: { kind: 'instant', isNullable: true }
  },
  sortBy: 'name',
  filterBy: { column: 'team', parameter: 'team' },
  searchBy: ['name']
} as const satisfies ItemTableShape

const components: Collection<typeof table> = {
  name: 'components',
  table,
  responseFields: {
    name: Type.String({ example: 'Billing' }),
    team: Type.String({ example: 'red' }),
    tier: Nullable(Type.Integer({ example: 1 })),
    released_at: Nullable(Type.String({ example: '2026-05-01T09:00:00.000Z' }))
  },
  toResponse: ({ name, team, tier, releasedAt }) => ({
    name,
    team,
    tier,
    released_at: releasedAt?.toISOString() ?? null
  }),
  parentFilter: { description: 'The team that owns them', example: 'red' },
  async *list(reader, cursor) {
    let offset = Number(cursor ?? 0)
    while (true) {
      const response = await reader.get('/v1/components', { offset: String(offset) })
      const values = isRecord(response) && Array.isArray(response.values) ? response.values : []
      offset += values.length
      const next = values.length < PAGE_SIZE ? null : String(offset)
      yield { ...parseItems(values, parseComponent), next }
      if (next === null) return
    }
  },
  async lookUp(reader, ids) {
    const goneIds: string[] = []
    for (const id of ids.filter(isId)) {
      if (!(await checkExists(async () => await reader.get(`/v1/components/${id}`)))) {
        goneIds.push(id)
      }
    }
    return { items: [], invalidItems: [], goneIds }
  }
}

function parseComponent(value: Record<string, unknown>) {
  const remoteId = toStorableText(value.id)
  const name = toStorableText(value.name)
  if (remoteId === null || name === null) return createInvalidItem(remoteId, 'It has no name.')
  const item: Item<typeof table> = {
    name,
    team: toStorableText(value.team) ?? '',
    tier: Number(value.tier),
    releasedAt: new Date(String(value.released)),
    remoteUpdatedAt: null
  }
  return { remoteId, item }
}

const endpoints: Endpoint[] = ['/v1/components', '/v1/components/{id}'].map((path) => ({
  method: 'GET',
  path,
  classic: [SCOPE],
  granular: null
}))

export const compass: Provider = {
  id: 'compass',
  title: 'Compass',
  settings: {
    prefix: 'COMPASS',
    aliases: { CLIENT_ID: [], CLIENT_SECRET: [], REDIRECT_URI: [] }
  },
  scopes: listDefaultScopes(endpoints),
  endpoints,
  features: [
    { name: 'components', collection: 'components', isRequired: true, endpoints },
    IDENTITY_FEATURE
  ],
  options: [],
  isProductScope: (scope) => scope.endsWith(':compass'),
  gatewayPath: '/ex/compass',
  basePath: '/compass',
  returnPath: '/oauth/compass',
  returnQuery: {},
  collections: [components]
}

const remoteComponents = COMPONENT_NAMES.map((name, i) => ({
  id: String(100 + i),
  name,
  team: i % 2 === 0 ? 'red' : 'blue',
  tier: i + 1,
  released: new Date(Date.UTC(2026, i, 1)).toISOString()
}))

export const compassSandbox: SandboxProduct = {
  id: 'compass',
  gatewayPath: '/ex/compass',
  scopes: { [SCOPE]: 'View Compass components' },
  endpoints: [
    defineEndpoint('GET', '/v1/components', [[SCOPE]], ({ query }) => {
      const offset = Number(query.get('offset'))
      return ok({ values: remoteComponents.slice(offset, offset + PAGE_SIZE) }, PAGE_SIZE)
    }),
    defineEndpoint('GET', '/v1/components/{id}', [[SCOPE]], ({ params: [id] }) => {
      const component = remoteComponents.find((each) => each.id === id)
      return component === undefined ? gatewayError(404, 'Not Found') : ok(component, 1)
    })
  ],
  answerNotFound: () => gatewayError(404, 'Not Found'),
  answerForbidden: () => gatewayError(403, 'Forbidden')
}
