import { Type } from '@sinclair/typebox'
import { providers } from '../../src/providers/index.ts'
import type { Collection } from '../../src/providers/provider.ts'
import { Id, Nullable, Time } from '../../src/http/schemas.ts'
import { COLLECTIONS } from '../../src/model/items.ts'
import { tableOf } from '../../src/sync/copy-collection.ts'
import type { Store } from '../../src/store/index.ts'
import { AuditRow } from '../audit/view.ts'
import { ConnectionView, HistoryView } from '../connections/schema.ts'
import { RunView } from '../integrations/run-view.ts'
import { Body, rowSchema } from '../items/lists.ts'

export const collections: readonly Collection[] = COLLECTIONS.map((name) => {
  const collection = providers
    .flatMap(({ collections }) => [...collections])
    .find((each) => each.name === name)
  if (collection === undefined) throw new Error('A table that no product fills')
  return collection
})

const Named = Type.Object({
  site: Nullable(
    Type.String({
      description: 'The cloudId of its site; null for an item posted by hand',
      example: '8f0c1d3e-2222-4b4b-9a9a-000000000001'
    })
  ),
  remote_id: Type.String({
    description: 'Its id at Atlassian; for an item posted by hand its natural key',
    example: '302737'
  })
})

const Product = Type.String({ example: 'jira' })
const ReturnUrl = Nullable(Type.String({ example: 'https://app.example.com/settings' }))

/** Everything that is kept about one person, but what nobody may have: tokens and hashes. */
export const exportSchema = (store: Store) =>
  Type.Object({
    exported_at: Time,
    user: Type.Object({
      id: Id,
      email: Type.String({ example: 'ada@example.com' }),
      display_name: Nullable(Type.String({ example: 'Ada Lovelace' })),
      created_at: Time
    }),
    identities: Type.Array(
      Type.Object({
        issuer: Type.String({ example: 'https://id.example.com/' }),
        subject: Type.String({ example: 'ada' }),
        created_at: Time
      })
    ),
    connections: Type.Array(
      Type.Composite([
        Type.Object({ id: Id }),
        ConnectionView,
        Type.Object({ history: HistoryView })
      ])
    ),
    runs: Type.Array(RunView),
    connect_sessions: Type.Array(
      Type.Object({
        id: Id,
        products: Type.Array(Product),
        return_url: ReturnUrl,
        opened: Type.Boolean({ description: 'A browser has opened its link' }),
        created_at: Time,
        expires_at: Time
      })
    ),
    logins: Type.Array(
      Type.Object({
        product: Product,
        state: Nullable(
          Type.String({
            description: 'What the caller gave as its own state',
            example: 'user_id=1'
          })
        ),
        return_url: ReturnUrl,
        scopes: Type.Array(Type.String({ example: 'read:me' })),
        ended: Type.Boolean(),
        expires_at: Time
      }),
      { description: 'Logins that are under way, or ended within the last hour' }
    ),
    audit: Type.Array(AuditRow, {
      description:
        'What was done about this person, newest first. From which address, and by which key or operator, is left out where that was somebody else'
    }),
    ...Object.fromEntries(
      collections.map((collection) => [
        collection.name,
        Type.Array(
          Type.Composite([
            Named,
            rowSchema(collection),
            ...(tableOf(store, collection.name).hasLong
              ? [Type.Object({ body: Nullable(Body) })]
              : [])
          ])
        )
      ])
    )
  })

/** Rows that are read at once: few where they carry long texts. */
export function atOnce(store: Store, { name }: Collection): number {
  return tableOf(store, name).hasLong ? 100 : 300
}
