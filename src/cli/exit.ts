import { AppError, StartError } from '../lib/errors.ts'

/**
 * Every exit code of every command. 78 is EX_CONFIG of sysexits.h; 130 and 143 are 128 plus the
 * signal's number.
 */
export const EXIT_CODES = {
  success: 0,
  failure: 1,
  usage: 2,
  incomplete: 3,
  configuration: 78,
  interrupted: 130,
  terminated: 143
} as const

/** What `docs/commands.md` says about each exit code. */
export const EXIT_CODE_MEANINGS: Record<keyof typeof EXIT_CODES, string> = {
  success: 'The command did what was asked.',
  failure: 'The command failed, or the service refused the request. Standard error says why.',
  usage: 'Unknown command or option, missing or invalid value. Nothing was started or changed.',
  incomplete: '`sync` only: the run skipped items, or it is parked and `--no-wait` was given.',
  configuration: 'Invalid settings. Each problem is one line that names the variable.',
  interrupted: '`sync` only: Ctrl-C (SIGINT) ended the watching; the run continues.',
  terminated: '`sync` only: SIGTERM ended the watching; the run continues.'
}

/** The command line cannot be understood. */
export class UsageError extends StartError {
  constructor(problem: string) {
    super([problem], EXIT_CODES.usage)
  }
}

const LISTEN_PROBLEMS: Record<string, string> = {
  EADDRINUSE: 'The port is already in use. Stop the other program, or choose another port.',
  EACCES: 'This user may not open the port. Choose a port from 1024 on.',
  EADDRNOTAVAIL: 'The host is not an address of this machine.',
  ENOTFOUND: 'The host is not an address of this machine.'
}

/**
 * Prints why a command ends, on standard error: one sentence for each problem, and a stack only for
 * defects of this program.
 *
 * @returns the exit code
 */
export function reportError(error: unknown): number {
  if (error instanceof StartError) {
    for (const problem of error.problems) console.error(problem)
    return error.exitCode
  }
  if (error instanceof AppError && error.code === 'database_unavailable') {
    console.error(`${error.message} Check the server and the network, and try again.`)
    return EXIT_CODES.failure
  }
  const { code = '', syscall = '' } = error as { code?: string; syscall?: string }
  if (/^(listen|getaddrinfo)$/.test(syscall)) {
    console.error(LISTEN_PROBLEMS[code] ?? `The host and port cannot be listened on: ${code}.`)
  } else if (/^E[A-Z]+$/.test(code) && syscall !== '') {
    console.error(
      `A file of the working directory (.env or the development key) cannot be used: ${code}.`
    )
  } else console.error(error)
  return EXIT_CODES.failure
}
