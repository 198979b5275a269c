import { isDeepStrictEqual } from 'node:util'
import type { BenchmarkSubject } from './subject.ts'
import type { Scenario } from './scenarios.ts'

/**
 * Sends one request to every subject and compares the responses: a subject that does less work is no
 * baseline.
 *
 * @throws Error with the scenario and both responses
 */
export async function assertSameAnswers(
  subjects: readonly BenchmarkSubject[],
  { title, requests: [{ method, path, headers, body }] }: Scenario
): Promise<void> {
  const answers = await Promise.all(
    subjects.map(async ({ url }) => {
      const answer = await fetch(url + path, {
        method,
        headers: headers ?? {},
        body: body?.replaceAll('[<id>]', 'ada') ?? null
      })
      return {
        status: answer.status,
        body: JSON.parse(removeVolatileParts(await answer.text())) as unknown
      }
    })
  )
  const [first] = answers
  if (
    first === undefined ||
    first.status >= 300 ||
    !answers.every((answer) => isDeepStrictEqual(answer, first))
  ) {
    throw new Error(
      `The subjects answer ${title} differently: ` +
        answers.map((answer) => JSON.stringify(answer).slice(0, 400)).join(' | ')
    )
  }
}

/** Removes the random `state` and the times at which each subject wrote its rows. */
function removeVolatileParts(answer: string): string {
  return answer
    .replace(/state=[\w-]{43}/, 'state=')
    .replaceAll(/"updated_at":"\d{4}-\d\d-\d\dT[\d:.]+Z"/g, '"updated_at":""')
}
