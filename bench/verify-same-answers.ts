import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { Request } from 'autocannon'
import type { BenchmarkSubject } from './subject.ts'

/** A subject whose log lines go to a file. */
export interface LoggedSubject {
  subject: BenchmarkSubject
  logFile: string
  request: Request
}

interface LogLine {
  event?: string
  request_id?: string
  headers?: Record<string, string>
}

const LOG_TIMEOUT_MS = 300
const POLL_INTERVAL_MS = 20

/**
 * Sends one request to every subject and compares the responses and the log lines: a subject that does
 * less work is no baseline.
 *
 * @throws Error with the title and what differs
 */
export async function assertSameAnswers(
  title: string,
  subjects: readonly LoggedSubject[]
): Promise<void> {
  const answers = []
  for (const { subject, logFile, request } of subjects) {
    // Finds the request in the log.
    const userAgent = randomUUID()
    const answer = await fetch(subject.url + request.path, {
      method: request.method,
      headers: { ...request.headers, 'user-agent': userAgent },
      body: request.body?.replaceAll('[<id>]', 'ada') ?? null
    })
    answers.push({
      status: answer.status,
      body: JSON.parse(removeVolatileParts(await answer.text())) as unknown,
      lines: await readLinesOf(userAgent, logFile)
    })
  }
  const [first] = answers
  if (
    first === undefined ||
    first.status >= 300 ||
    !answers.every((answer) => isDeepStrictEqual(answer, first))
  ) {
    throw new Error(
      `The subjects answer ${title} differently: ` +
        answers
          .map(
            ({ lines, ...answer }) =>
              `${JSON.stringify(answer).slice(0, 400)} ${JSON.stringify(lines)}`
          )
          .join(' | ')
    )
  }
}

/** Removes what is random, and the times at which each subject wrote its rows. */
function removeVolatileParts(answer: string): string {
  return answer
    .replace(/state=[\w-]{43}/, 'state=')
    .replace(/"next":"[^"]*"/, '"next":""')
    .replaceAll(/"updated_at":"\d{4}-\d\d-\d\dT[\d:.]+Z"/g, '"updated_at":""')
}

/**
 * Waits until a request's lines are written.
 *
 * @returns the fields of each of its lines, sorted
 */
async function readLinesOf(userAgent: string, file: string): Promise<string[][]> {
  const deadline = performance.now() + LOG_TIMEOUT_MS
  while (true) {
    await sleep(POLL_INTERVAL_MS)
    const text = readFileSync(file, 'utf8')
    const all = text
      .slice(0, text.lastIndexOf('\n') + 1)
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as LogLine)
    const id = all.find(({ headers }) => headers?.['user-agent'] === userAgent)?.request_id
    const own = id === undefined ? [] : all.filter((line) => line.request_id === id)
    const isComplete = own.some(({ event }) => event === 'request_completed')
    // A health check writes no line at the level `info`.
    if (isComplete || performance.now() > deadline) {
      return own.map((line) => Object.keys(line).sort())
    }
  }
}
