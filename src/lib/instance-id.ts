import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'

const RANDOM_BYTES = 3
const MAX_HOST_CHARS = 40

/** The id of this process: host name and random characters, for example `web-1-5f03ac`. */
export const instanceId = createInstanceId(hostname())

/**
 * Creates an id for one process. It contains letters, digits, `.`, `-` and `_` only, so that it can
 * stand in a log line and in a command.
 *
 * @param host the name of the machine or container
 */
export function createInstanceId(host: string): string {
  const name = host.replaceAll(/[^\w.-]/g, '').slice(0, MAX_HOST_CHARS)
  return `${name === '' ? 'instance' : name}-${randomBytes(RANDOM_BYTES).toString('hex')}`
}
