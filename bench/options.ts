import { parseArgs } from 'node:util'
import { ENGINES, type EngineName } from './databases.ts'

/** The options that the smaller programs share. */
export interface ProgramOptions {
  engine: EngineName
  /** `--quick`: small data, one short round. */
  quick: boolean
  rounds: number
  seconds: number
  /** Name for the results; undefined: they are not saved. */
  save: string | undefined
}

/**
 * Reads the options of a program, or ends it with its usage.
 *
 * @param defaults of a full run, and of one with `--quick`
 */
export function readOptions(
  program: string,
  defaults: Record<'full' | 'quick', { rounds: number; seconds: number }>
): ProgramOptions {
  const { values } = parseArgs({
    options: {
      engine: { type: 'string', default: 'sqlite' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      save: { type: 'string' },
      quick: { type: 'boolean', default: false }
    }
  })
  const own = defaults[values.quick ? 'quick' : 'full']
  const rounds = Number(values.rounds ?? own.rounds)
  const seconds = Number(values.seconds ?? own.seconds)
  const engine = values.engine as EngineName
  if (
    !ENGINES.includes(engine) ||
    !Number.isSafeInteger(rounds) ||
    rounds < 1 ||
    !(seconds >= 0.1)
  ) {
    console.error(
      `Usage: npm run ${program} -- [--quick] [--engine sqlite|postgres] ` +
        `[--rounds ${defaults.full.rounds}] [--seconds ${defaults.full.seconds}] [--save NAME]`
    )
    process.exit(2)
  }
  return { engine, quick: values.quick, rounds, seconds, save: values.save }
}
