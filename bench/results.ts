import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'

/** Files of results; git ignores `quick.json`. */
const RESULTS_FOLDER = new URL('results/', import.meta.url)
const SIGNIFICANT_DIGITS = 4

/** Medians of one contender in one scenario. */
export interface ContenderResult {
  name: string
  requestsPerS: number
  p50Ms: number
  p99Ms: number
  cpuMicros: number
  failures: number
}

/** A figure of a program that compares nothing. */
export interface ResultValue {
  label: string
  value: number
  unit: string
}

/** What one program measured in one scenario. */
export interface Result {
  /** The npm script. */
  program: string
  name: string
  title: string
  engine: string
  /** The setting that was changed, with `--against`. */
  against?: string
  /** Rounds, seconds and the like. */
  conditions: Record<string, number | string>
  /** The service first. */
  contenders?: ContenderResult[]
  /** Baseline to service, more is better; null where a request failed. */
  ratios?: { requests: number; cpu: number } | null
  values?: ResultValue[]
}

/** A result as saved. */
export interface SavedResult extends Result {
  /** ISO 8601, UTC. */
  measuredAt: string
  commit: string
}

export interface ResultFile {
  machine: { node: string; cores: number; processor: string }
  results: SavedResult[]
}

/** @returns undefined if nothing was saved under this name */
export function readResults(name: string): ResultFile | undefined {
  const file = toFile(name)
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as ResultFile) : undefined
}

/**
 * Saves results under a name. A result of the same scenario, engine and setting is replaced.
 *
 * @param name undefined: saves nothing
 */
export function saveResults(name: string | undefined, results: readonly Result[]): void {
  if (name === undefined) return
  const toKey = ({ program, name, engine, against }: Result) =>
    JSON.stringify([program, name, engine, against])
  const saved = new Map(readResults(name)?.results.map((result) => [toKey(result), result]))
  const [measuredAt, commit] = [new Date().toISOString(), readCommit()]
  for (const result of results) {
    saved.set(toKey(result), { ...roundNumbers(result), measuredAt, commit })
  }
  const file: ResultFile = {
    machine: {
      node: process.versions.node,
      cores: cpus().length,
      processor: cpus()[0]?.model ?? 'unknown'
    },
    results: [...saved.values()]
  }
  mkdirSync(RESULTS_FOLDER, { recursive: true })
  writeFileSync(toFile(name), `${JSON.stringify(file, null, 2)}\n`)
}

/** The names of saved results in the order in which they were first measured, without `quick`. */
export function listResults(): string[] {
  const toStart = (name: string) =>
    readResults(name)
      ?.results.map(({ measuredAt }) => measuredAt)
      .sort()[0] ?? ''
  return readdirSync(RESULTS_FOLDER)
    .flatMap((file) => /^(.+)\.json$/.exec(file)?.[1] ?? [])
    .filter((name) => name !== 'quick')
    .sort((a, b) => (toStart(a) < toStart(b) ? -1 : 1))
}

/** @throws Error unless it can be the name of a file */
function toFile(name: string): string {
  if (!/^[\w.-]+$/.test(name)) {
    throw new Error(`The name ${name} has other characters than a-z, 0-9, . and -.`)
  }
  return fileURLToPath(new URL(`${name}.json`, RESULTS_FOLDER))
}

function readCommit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
  } catch {
    return 'unknown'
  }
}

function roundNumbers<T>(value: T): T {
  return JSON.parse(
    JSON.stringify(value, (_key, each: unknown) =>
      typeof each === 'number' ? Number(each.toPrecision(SIGNIFICANT_DIGITS)) : each
    )
  ) as T
}
