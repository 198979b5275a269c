import { AppError, StartError } from '../lib/errors.ts'
import { builtInProviders } from '../providers/index.ts'
import type { Provider } from '../providers/provider.ts'
import type { Store } from '../store/index.ts'
import { parseInteger } from './command.ts'
import { EXIT_CODES } from './exit.ts'
import { runWithStore } from './operator.ts'

const PRODUCTS = builtInProviders.map(({ id }) => id)
const UNIT_MS: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Options that several commands of the fleet have. */
export const PRODUCT_OPTION = {
  flags: '--product <product>',
  description: `The product: ${PRODUCTS.join(' or ')}.`,
  rule: `must be ${PRODUCTS.join(' or ')}`,
  parse: (text: string): Provider | undefined => builtInProviders.find(({ id }) => id === text)
} as const

export const USER_OPTION = {
  flags: '--user <id>',
  description: 'The id of the user.',
  rule: 'must be the id of a user, a positive whole number',
  parse: (text: string) =>
    /^[1-9]\d{0,15}$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : undefined
} as const

export const LIMIT_OPTION = {
  flags: '--limit <count>',
  description: 'The largest number of rows.',
  default: '1000',
  rule: 'must be a whole number',
  parse: parseInteger
} as const

/** An option whose value is one of a list. */
export function createChoiceOption<Value extends string>(
  name: string,
  description: string,
  values: readonly Value[]
) {
  return {
    flags: `--${name} <${name}>` as `--${string} <${string}>`,
    description: `${description}: ${values.join(', ')}.`,
    rule: `must be one of ${values.join(', ')}`,
    parse: (text: string): Value | undefined => values.find((value) => value === text)
  }
}

/** @returns the moment that a duration such as `90m`, `24h` or `7d`, or an ISO 8601 time, names */
export function parseSince(text: string): Date | undefined {
  const [, count = '', unit = ''] = /^(\d{1,5})([mhd])$/.exec(text) ?? []
  if (count !== '') return new Date(Date.now() - Number(count) * (UNIT_MS[unit] ?? 0))
  const date = new Date(text)
  return /^\d{4}-\d{2}-\d{2}T/.test(text) && !Number.isNaN(date.getTime()) ? date : undefined
}

/** As `runWithStore`; failures of the domain end the command with code 1 and their sentence. */
export async function runFleetCommand<Result>(
  command: (store: Store) => Promise<Result>
): Promise<Result> {
  try {
    return await runWithStore(command)
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    throw new StartError([error.message], EXIT_CODES.failure)
  }
}

/** Cuts the one row that shows that there are more, and says so on standard error. */
export function limitRows<Row>(rows: readonly Row[], limit: number): Row[] {
  if (rows.length > limit) console.error(`Only the first ${limit}: there are more (--limit).`)
  return rows.slice(0, limit)
}
