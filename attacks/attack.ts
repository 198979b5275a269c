import type { KeyObject } from 'node:crypto'

/** The service under attack. */
export interface Target {
  /** Its URL, without a slash at the end. */
  baseUrl: string
  /** The checkout that it runs from, for attacks that start a service with settings of their own. */
  root: string
  /** A service key with the scope admin; null if none is known. */
  apiKey: string | null
  /** The private key that signs people's tokens (ES256); null if it is not known. */
  jwtKey: KeyObject | null
  /** Its INTEGRATION_DB_URL, for attackers who can write to the database; null if it is not known. */
  databaseUrl: string | null
}

interface AttackResult {
  /** Whether the attacker got what they wanted. */
  reached: boolean
  /** What was observed, in one line. */
  evidence: string
}

/** One attack on a running service. It imports nothing of the service, so it runs against any version. */
export interface Attack {
  /** In plain words: what the attacker wants. */
  name: string
  /** The number of the defence in docs/attacks.md. */
  item: number
  run: (target: Target) => Promise<AttackResult>
}

/** Thrown by an attack that this target gives no means for. */
export class AttackSkipped extends Error {}

/** @throws AttackSkipped if the value is not known */
export function requireMeans<T>(value: T | null, name: string): T {
  if (value === null) throw new AttackSkipped(`needs ${name}`)
  return value
}
