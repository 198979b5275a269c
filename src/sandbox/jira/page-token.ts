import { hash } from '../data/hash.ts'
import type { ScanPosition } from '../data/iteration-order.ts'

const PAGE_TOKEN_LIFETIME_MS = 7 * 86_400_000

/** The last issue of a page, and how many issues the chain of pages has returned so far. */
export interface PageToken extends ScanPosition {
  servedCount: number
}

export function encodePageToken(
  jql: string,
  { value, position, servedCount }: PageToken,
  now: number
): string {
  return Buffer.from(
    JSON.stringify([hashText(jql), value, position, servedCount, now + PAGE_TOKEN_LIFETIME_MS])
  ).toString('base64url')
}

/** A token belongs to its query and expires after seven days. */
export function decodePageToken(token: string, jql: string, now: number): PageToken | 'bad' {
  const text = Buffer.from(token, 'base64url').toString()
  const match = /^\[(\d+),(-?\d+(?:\.\d+)?),(\d+),(\d+),(\d+(?:\.\d+)?)\]$/.exec(text)
  if (match === null || Number(match[1]) !== hashText(jql) || Number(match[5]) <= now) return 'bad'
  return { value: Number(match[2]), position: Number(match[3]), servedCount: Number(match[4]) }
}

function hashText(text: string): number {
  return [...text].reduce((sum, char) => hash(sum, 90, char.codePointAt(0) ?? 0), 0)
}
