import type { SandboxResponse } from '../gateway/answer.ts'

/** Builds an error in Jira's format: messages, and messages by field. */
export function jiraError(
  status: number,
  message: string,
  errors: Record<string, string> = {}
): SandboxResponse {
  return { status, body: { errorMessages: message === '' ? [] : [message], errors } }
}
