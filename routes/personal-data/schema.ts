import { Type } from '@sinclair/typebox'
import { exampleProvider } from '../../src/providers/index.ts'
import type { ProviderRegistry } from '../../src/providers/registry.ts'
import { Id, Nullable, Timestamp, toItemTypeName } from '../../src/http/schemas.ts'
import { AuditResponse } from '../audit/view.ts'
import { createConnectionSchema, HistoryResponse } from '../connections/schema.ts'
import { RunResponse } from '../integrations/run-view.ts'
import { createItemSchemaWithBody } from '../items/schema.ts'

const RemoteIdentity = Type.Object({
  remote_id: Type.String({
    description: 'Its id at Atlassian; for an item posted by hand its natural key',
    example: '302737'
  })
})

const ProductSchema = Type.String({ example: exampleProvider.id })
const ReturnUrlSchema = Nullable(Type.String({ example: 'https://app.example.com/settings' }))

/** Everything stored about one person, except secrets: tokens and hashes. */
export const createExportSchema = (providers: ProviderRegistry) =>
  Type.Object(
    {
      exported_at: Timestamp,
      user: Type.Object(
        {
          id: Id,
          email: Type.String({ example: 'ada@example.com' }),
          display_name: Nullable(Type.String({ example: 'Ada Lovelace' })),
          created_at: Timestamp
        },
        { title: 'ExportedUser' }
      ),
      identities: Type.Array(
        Type.Object(
          {
            issuer: Type.String({ example: 'https://id.example.com/' }),
            subject: Type.String({ example: 'ada' }),
            created_at: Timestamp
          },
          { title: 'ExportedIdentity' }
        )
      ),
      connections: Type.Array(
        Type.Composite(
          [
            Type.Object({ id: Id }),
            createConnectionSchema(providers),
            Type.Object({ history: HistoryResponse })
          ],
          { title: 'ExportedConnection' }
        )
      ),
      runs: Type.Array(RunResponse),
      connect_sessions: Type.Array(
        Type.Object(
          {
            id: Id,
            products: Type.Array(ProductSchema),
            return_url: ReturnUrlSchema,
            opened: Type.Boolean({ description: 'Whether a browser has opened the link' }),
            created_at: Timestamp,
            expires_at: Timestamp
          },
          { title: 'ExportedConnectSession' }
        )
      ),
      logins: Type.Array(
        Type.Object(
          {
            product: ProductSchema,
            state: Nullable(
              Type.String({
                description: 'State of the caller',
                example: 'user_id=1'
              })
            ),
            return_url: ReturnUrlSchema,
            scopes: Type.Array(Type.String({ example: 'read:me' })),
            ended: Type.Boolean(),
            expires_at: Timestamp
          },
          { title: 'ExportedLogin' }
        ),
        { description: 'Active logins, and those that ended within the last hour' }
      ),
      audit: Type.Array(AuditResponse, {
        description:
          'Audit entries about this user, newest first. IP address and name are omitted for other actors'
      }),
      ...Object.fromEntries(
        providers.collections.map((collection) => [
          collection.name,
          Type.Array(
            Type.Composite([RemoteIdentity, createItemSchemaWithBody(collection, false)], {
              title: `Exported${toItemTypeName(collection.name)}`
            })
          )
        ])
      )
    },
    { title: 'UserExport' }
  )
