/**
 * A response before faults are applied. A string body is sent unchanged, any other body as JSON.
 */
export interface SandboxResponse {
  status: number
  body: unknown
  headers?: Record<string, string>
  /**
   * Number of core objects in the response; each costs a point
   * (docs/reference/atlassian.md#10-rate-limits).
   */
  coreObjects?: number
  /** The response never comes: the connection stays open until the client gives up. */
  isHanging?: boolean
}

export function ok(body: unknown, coreObjects = 0): SandboxResponse {
  return { status: 200, body, coreObjects }
}

/** Builds an error of the gateway itself (docs/reference/atlassian.md#11-errors). */
export function gatewayError(
  code: number,
  message: string,
  headers: Record<string, string> = {}
): SandboxResponse {
  return { status: code, body: { code, message }, headers }
}

/** Builds Spring's 404 body for a cloudId or route that the gateway does not know. */
export function routeNotFound(path: string, now: number): SandboxResponse {
  const timestamp = new Date(now).toISOString().replace('Z', '+00:00')
  return {
    status: 404,
    body: { timestamp, status: 404, error: 'Not Found', message: 'No message available', path }
  }
}

/** Builds an error of the token endpoint (docs/reference/atlassian.md#23-errors). */
export function oauthError(status: number, error: string, description: string): SandboxResponse {
  return { status, body: { error, error_description: description } }
}
