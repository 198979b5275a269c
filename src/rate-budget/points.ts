import type { HttpResponse } from '../lib/http-client.ts'

/**
 * One point for the call and one for each core object in its response
 * (docs/reference/atlassian.md#16-points).
 */
export function estimateCost({ status, body }: HttpResponse): number {
  if (status === 429) return 0
  const lists =
    typeof body === 'object' && body !== null
      ? ['values', 'results', 'issues'].map((name) => (body as Record<string, unknown>)[name])
      : []
  return 1 + lists.reduce<number>((sum, list) => sum + (Array.isArray(list) ? list.length : 0), 0)
}
