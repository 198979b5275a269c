import type { SavedResult } from './results.ts'

/** What a target is about, and how a result is compared with it. */
export interface Target {
  title: string
  /** The target as readers see it. */
  text: string
  program: string
  scenario: string
  engine: 'sqlite' | 'postgres'
  /** The least ratio, by requests and by processor time, or the most of a value. */
  limit: { ratio: number } | { label: string; max: number } | { label: string; min: number }
}

const ratio = (
  title: string,
  scenario: string,
  percent: number,
  engine: Target['engine'] = 'sqlite'
): Target => ({
  title: engine === 'sqlite' ? title : `${title}, PostgreSQL`,
  text: `≥ ${percent} %`,
  program: 'bench',
  scenario,
  engine,
  limit: { ratio: percent / 100 }
})

const atMost = (
  title: string,
  [program, scenario, label]: readonly [string, string, string],
  max: number,
  unit: string
): Target => ({
  title,
  text: `≤ ${max} ${unit}`,
  program,
  scenario,
  engine: 'sqlite',
  limit: { label, max }
})

export const TARGETS: Target[] = [
  ratio('`GET /`', 'root', 85),
  ratio('`GET /`, each with a log line', 'root-logged', 85),
  ratio('`GET /livez`', 'livez', 85),
  ratio('`GET /livez`, each with a log line', 'livez-logged', 85),
  ratio('`GET /healthz`', 'healthz', 60),
  ratio('`GET /healthz`, each with a log line', 'healthz-logged', 60),
  ratio('`GET /users/{id}`', 'user', 80),
  ratio('`GET /users/{id}` by API key', 'user-key', 70),
  ratio('`POST /users`', 'create', 150),
  ratio('`POST /jira/projects`', 'project', 150),
  ratio('Login, JSON', 'login', 150),
  ratio('List of 1,000', 'list', 90),
  { ...ratio('100,000 users against 100', 'user-growth', 90), text: 'within 10 %' },
  ratio('`GET /users/{id}`', 'user', 70, 'postgres'),
  ratio('`GET /users/{id}` by API key', 'user-key', 70, 'postgres'),
  ratio('`POST /users`', 'create', 70, 'postgres'),
  ratio('`POST /jira/projects`', 'project', 70, 'postgres'),
  ratio('Login, JSON', 'login', 70, 'postgres'),
  ratio('List of 1,000', 'list', 70, 'postgres'),
  atMost(
    '64 lists of 10,000 streamed: first byte',
    ['bench:connections', 'streams', 'first byte, p50'],
    30,
    'ms'
  ),
  atMost(
    '64 lists of 10,000 streamed: growth of memory',
    ['bench:connections', 'streams', 'growth of resident memory'],
    30,
    'MiB'
  ),
  atMost(
    'Callback beyond the token endpoint, p50',
    ['bench:callback', 'callback', 'beyond the token endpoint, p50'],
    5,
    'ms'
  ),
  atMost(
    'Mixed load, p99 with a sync to without',
    ['bench:mixed', 'mixed', 'p99 with a sync to without'],
    2,
    '×'
  ),
  {
    title: 'First sync, of the baseline',
    text: '≥ 60 %',
    program: 'bench:sync',
    scenario: 'baseline',
    engine: 'sqlite',
    limit: { label: 'of the baseline', min: 60 }
  },
  atMost(
    'Grants refreshed at once: longest stall',
    ['bench:tokens', 'tokens', 'longest stall meanwhile'],
    20,
    'ms'
  ),
  atMost('Start to the first 200', ['bench:start', 'start', 'first 200'], 400, 'ms'),
  atMost('Idle memory', ['bench:start', 'start', 'resident memory, idle'], 110, 'MiB'),
  atMost(
    'Growth of memory by requests',
    ['bench:start', 'start', 'growth by the requests'],
    15,
    '%'
  )
]

/** The figure of a target in some results, and whether it meets the target; null: it is not measured. */
export function evaluateTarget(
  { program, scenario, engine, limit }: Target,
  results: readonly SavedResult[]
): { text: string; isMet: boolean } | null {
  const result = results.find(
    (each) =>
      each.program === program &&
      each.name === scenario &&
      each.engine === engine &&
      each.against === undefined
  )
  if (result === undefined) return null
  if ('ratio' in limit) {
    const { ratios } = result
    if (ratios === null || ratios === undefined) return { text: 'requests failed', isMet: false }
    const { requests, cpu } = ratios
    return {
      text: `${formatPercent(requests)} · ${formatPercent(cpu)}`,
      isMet: Math.min(requests, cpu) >= limit.ratio
    }
  }
  const found = result.values?.find(({ label }) => label === limit.label)
  if (found === undefined) return null
  const { value, unit } = found
  return {
    text: formatValue(value, unit),
    isMet: 'max' in limit ? value <= limit.max : value >= limit.min
  }
}

export function formatPercent(ratio: number): string {
  return `${(ratio * 100).toFixed(0)} %`
}

export function formatValue(value: number, unit: string): string {
  const text = Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)))
  return `${text} ${unit}`.trim()
}
