import type { SandboxResponse } from '../gateway/answer.ts'
import { jiraError } from './errors.ts'

/** @returns undefined for a body that is no object, has an unknown member or a wrong type */
export function readBodyMembers(
  body: unknown,
  members: Record<string, (value: unknown) => boolean>
): Record<string, unknown> | undefined {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return undefined
  const entries = Object.entries(body)
  const isValid = entries.every(
    ([name, value]) => Object.hasOwn(members, name) && members[name]?.(value) === true
  )
  return isValid ? (body as Record<string, unknown>) : undefined
}

export function invalidPayload(): SandboxResponse {
  return jiraError(
    400,
    'Invalid request payload. Refer to the REST API documentation and try again.'
  )
}

export function isStringArray(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}
