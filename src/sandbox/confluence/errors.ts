import type { SandboxResponse } from '../gateway/answer.ts'

/** Builds an error in the format of Confluence's API v2. */
export function confluenceError(
  status: number,
  code: string,
  title: string,
  detail: string | null = null
): SandboxResponse {
  return { status, body: { errors: [{ status, code, title, detail }] } }
}

/**
 * Builds an error in the format of Confluence's API v1. `authorized` distinguishes a missing object
 * from a missing permission.
 */
export function legacyError(
  statusCode: number,
  message: string,
  authorized: boolean
): SandboxResponse {
  return {
    status: statusCode,
    body: { statusCode, data: { authorized, valid: true, errors: [], successful: false }, message }
  }
}
