import { Type, type Static } from '@sinclair/typebox'
import { Id, Nullable, Time } from '../../src/http/schemas.ts'
import { ACTIONS, type AuditRow as Row } from '../../src/store/repositories/audit-log.ts'

export const Action = { type: 'string', enum: [...ACTIONS], example: 'connection_created' }

export const AuditRow = Type.Object({
  id: Id,
  at: Time,
  actor: Type.Object({
    kind: Type.String({
      description:
        'key, user, session, anybody, operator (a command on the machine) or service (nobody asked)',
      example: 'key'
    }),
    id: Nullable(Id),
    name: Nullable(Type.String({ example: 'crm' }))
  }),
  action: Type.Unsafe<string>(Action),
  user_id: Nullable(Id),
  connection_id: Nullable(Id),
  product: Nullable(Type.String({ example: 'jira' })),
  ip: Nullable(Type.String({ example: '203.0.113.7' })),
  request_id: Nullable(Type.String({ example: 'my-debug-123' })),
  detail: Nullable(Type.Object({}, { additionalProperties: true }))
})
export type AuditRow = Static<typeof AuditRow>

export function view({
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
}: Row): AuditRow {
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
