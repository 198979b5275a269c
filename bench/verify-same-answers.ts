import { isDeepStrictEqual } from 'node:util'
import type { BenchmarkSubject } from './subject.ts'
import type { Scenario } from './scenarios.ts'

/**
 * Asks every contender once, and compares what they say: a contender that does less is no measure.
 *
 * @throws Error naming the scenario
 */
export async function assertSameAnswers(
  contenders: readonly BenchmarkSubject[],
  { title, requests: [{ method, path, headers, body }] }: Scenario
): Promise<void> {
  const answers = await Promise.all(
    contenders.map(async ({ url }) => {
      const answer = await fetch(url + path, {
        method,
        headers: headers ?? {},
        body: body?.replaceAll('[<id>]', 'ada') ?? null
      })
      return {
        status: answer.status,
        body: JSON.parse(removeState(await answer.text())) as unknown
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
      `The contenders answer ${title} differently: ${answers.map((answer) => JSON.stringify(answer).slice(0, 400)).join(' | ')}`
    )
  }
}

/** The one part of an answer that is random. */
function removeState(answer: string): string {
  return answer.replace(/state=[\w-]{43}/, 'state=')
}
