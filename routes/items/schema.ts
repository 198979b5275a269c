import { Type, type TProperties } from '@sinclair/typebox'
import { toIsoTime } from '../../src/lib/iso-time.ts'
import { Id, Nullable, Timestamp, toItemTypeName } from '../../src/http/schemas.ts'
import type { ListedItem } from '../../src/model/items.ts'
import type { Collection } from '../../src/providers/provider.ts'

/** A site, as items and changes name it. */
export const SiteId = Nullable(
  Type.String({
    description: 'The cloudId of its site; null for an item posted by hand',
    example: '8f0c1d3e-2222-4b4b-9a9a-000000000001'
  })
)

/** One item as lists serve it. */
export function createItemSchema({ name, responseFields }: Collection) {
  return Type.Object(
    {
      id: Id,
      owner_id: Id,
      ...responseFields,
      source: Type.Union([Type.Literal('atlassian'), Type.Literal('manual')], {
        description: '`atlassian`: a copy · `manual`: posted by hand'
      }),
      site: SiteId,
      updated_at: {
        ...Timestamp,
        description:
          'When it was changed at Atlassian, or here where Atlassian does not say. ISO 8601, UTC'
      }
    },
    { title: toItemTypeName(name) }
  )
}

/**
 * One item of a collection that has bodies, with its body.
 *
 * @param isOptional whether the field is absent unless the caller asks for it
 */
export function createItemSchemaWithBody(collection: Collection, isOptional: boolean) {
  const { name, body } = collection
  if (body === undefined) return createItemSchema(collection)
  const BodyResponse = Nullable(body.responseSchema)
  const bodyFields: TProperties = { body: isOptional ? Type.Optional(BodyResponse) : BodyResponse }
  return Type.Composite([createItemSchema(collection), Type.Object(bodyFields)], {
    title: `${toItemTypeName(name)}WithBody`
  })
}

export function toItemResponse(collection: Collection, row: ListedItem) {
  const { id, ownerId, site, updatedAt, remoteUpdatedAt } = row
  return {
    id,
    owner_id: ownerId,
    ...collection.toResponse(row),
    source: site === '' ? ('manual' as const) : ('atlassian' as const),
    site: site === '' ? null : site,
    updated_at: toIsoTime(remoteUpdatedAt ?? updatedAt)
  }
}
