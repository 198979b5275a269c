import { Type, type Static } from '@sinclair/typebox'
import { exampleProvider } from '../../src/providers/index.ts'
import { Id, Nullable, Timestamp } from '../../src/http/schemas.ts'
import { AUDIT_ACTIONS, type AuditRow as Row } from '../../src/store/repositories/audit-log.ts'

export const ActionSchema = {
  type: 'string',
  enum: [...AUDIT_ACTIONS],
  example: 'connection_created',
  title: 'AuditAction'
}

export const AuditResponse = Type.Object(
  {
    id: Id,
    at: Timestamp,
    actor: Type.Object(
      {
        kind: Type.String({
          description:
            '`key`, `user`, `session`, `anonymous` (no credential; `anybody` in entries of ' +
            'version 0.1), `operator` (a command on the machine) or `service` (a background job)',
          example: 'key'
        }),
        id: Nullable(Id),
        name: Nullable(Type.String({ example: 'crm' }))
      },
      { title: 'AuditActor' }
    ),
    action: Type.Unsafe<string>(ActionSchema),
    user_id: Nullable(Id),
    connection_id: Nullable(Id),
    product: Nullable(Type.String({ example: exampleProvider.id })),
    ip: Nullable(Type.String({ example: '203.0.113.7' })),
    request_id: Nullable(Type.String({ example: 'my-debug-123' })),
    detail: Nullable(Type.Object({}, { title: 'AuditDetail', additionalProperties: true }))
  },
  { title: 'AuditEntry' }
)
export type AuditResponse = Static<typeof AuditResponse>

export function toAuditResponse({
  seq,
  at,
  actor,
  actorId,
  actorName,
  action,
  userId,
  connectionId,
  product,
  ip,
  requestId,
  detail
}: Row): AuditResponse {
  return {
    id: seq,
    at: at.toISOString(),
    actor: { kind: actor, id: actorId, name: actorName },
    action,
    user_id: userId,
    connection_id: connectionId,
    product,
    ip,
    request_id: requestId,
    detail: detail === null ? null : (JSON.parse(detail) as object)
  }
}
