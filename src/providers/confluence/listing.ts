import { AppError } from '../../lib/errors.ts'
import { isRecord, text } from '../../lib/json.ts'
import type { Reader } from '../provider.ts'
import { sized } from '../paging.ts'

const PAGE = 250

export interface Listed {
  results: unknown[]
  next: string | null
}

/**
 * A listing of version 2, page by page (atlassian.md sections 9.1 and 9.2). The end is where no next page is named.
 *
 * @param cursor where it goes on; null at the beginning
 */
export async function* listing(
  reader: Reader,
  path: string,
  query: Record<string, string>,
  cursor: string | null,
  largest = PAGE
): AsyncGenerator<Listed> {
  const page = sized(largest)
  let next = cursor
  do {
    const at = next
    const answer = read(
      await page(
        async (size) =>
          await reader.get(path, {
            ...query,
            limit: String(size),
            ...(at === null ? {} : { cursor: at })
          })
      )
    )
    if (answer.next !== null && answer.next === at) {
      throw new AppError('upstream_invalid_answer', 'Confluence repeats a page of its listing.')
    }
    next = answer.next
    yield answer
  } while (next !== null)
}

/** The cursor is one parameter of a relative link, at no fixed place in it; no other part of the link is used. */
export function read(answer: unknown): Listed {
  if (!isRecord(answer) || !Array.isArray(answer.results)) {
    throw new AppError(
      'upstream_invalid_answer',
      'Confluence listed something in a form this service does not know.'
    )
  }
  const link = isRecord(answer._links) ? text(answer._links.next) : null
  return {
    results: answer.results,
    next:
      link === null
        ? null
        : (URL.parse(link, 'https://site.invalid')?.searchParams.get('cursor') ?? null)
  }
}
