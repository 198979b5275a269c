import { StartError } from '../lib/errors.ts'

const MESSAGES_BY_ERROR_CODE: Record<string, string> = {
  EADDRINUSE: 'The port is already in use. Stop the other program, or set PORT.',
  EACCES: 'The port may not be opened by this user. Set PORT to 1024 or more.',
  EADDRNOTAVAIL: 'HOST is not an address of this machine.',
  ENOTFOUND: 'HOST is not an address of this machine.'
}

/**
 * Says on standard error why the process does not start: a sentence for each problem, no stack for what an operator can mend.
 *
 * @returns the exit code
 */
export function reportStartError(error: unknown): number {
  if (error instanceof StartError) {
    for (const problem of error.problems) console.error(problem)
    return error.exitCode
  }
  const { code = '', syscall = '' } = error as { code?: string; syscall?: string }
  if (/^(listen|getaddrinfo)$/.test(syscall)) {
    console.error(MESSAGES_BY_ERROR_CODE[code] ?? `HOST and PORT cannot be listened on: ${code}.`)
  } else if (/^E[A-Z]+$/.test(code) && syscall !== '') {
    console.error(
      `A file of the working directory (.env or the development key) cannot be used: ${code}.`
    )
  } else console.error(error)
  return 1
}
