import { Type } from '@sinclair/typebox'
import { Id, Nullable } from '../../src/http/schemas.ts'

export const UserResponse = Type.Object(
  {
    id: Id,
    email: Type.String({ example: 'ada@example.com' }),
    display_name: Nullable(Type.String({ example: 'Ada Lovelace' }))
  },
  { title: 'User' }
)
