import type { SandboxSite } from '../data/sites.ts'
import type { SandboxState } from '../state.ts'

/** The message is the response to the caller of the admin API. */
export class AdminError extends Error {}

type FieldKind = 'string' | 'number' | 'boolean' | 'object' | 'strings' | 'any'

/** The fields of an admin call: name to kind; a question mark makes a field optional. */
export type FieldShape = Record<string, FieldKind | `${FieldKind}?`>

/**
 * Validates the body of an admin call. Unknown, missing and mistyped fields are rejected by
 * name.
 *
 * @throws {AdminError}
 */
export function readFields(
  body: unknown,
  shape: FieldShape,
  where = 'body'
): Record<string, unknown> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new AdminError(`${where} must be a JSON object`)
  }
  const fields = body as Record<string, unknown>
  const unknown = Object.keys(fields).filter((name) => !Object.hasOwn(shape, name))
  if (unknown.length > 0) {
    throw new AdminError(
      `unknown field in ${where}: ${unknown.join(', ')}. Known: ${Object.keys(shape).join(', ') || 'none'}`
    )
  }
  for (const [name, kind] of Object.entries(shape)) {
    const optional = kind.endsWith('?')
    if (
      fields[name] === undefined
        ? !optional
        : !isOfKind(fields[name], kind.replace('?', '') as FieldKind)
    ) {
      const type = kind.replace('?', '')
      throw new AdminError(
        `${where}.${name} must be a ${type === 'strings' ? 'list of strings' : type}`
      )
    }
  }
  return fields
}

function isOfKind(value: unknown, kind: FieldKind): boolean {
  if (kind === 'any') return true
  if (kind === 'strings') {
    return Array.isArray(value) && value.every((item) => typeof item === 'string')
  }
  if (kind === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value)
  if (kind === 'number') return Number.isFinite(value)
  return kind === 'string' ? typeof value === 'string' : typeof value === 'boolean'
}

/** @throws AdminError unless the value is one of the options */
export function requireOneOf<T>(value: unknown, options: readonly T[], where: string): T {
  const option = options.find((candidate) => candidate === value)
  if (option === undefined) throw new AdminError(`${where} must be one of ${options.join(', ')}`)
  return option
}

/** @throws AdminError unless it is a whole number of the range */
export function requireIntegerInRange(
  value: unknown,
  min: number,
  max: number,
  where: string
): void {
  if (!Number.isInteger(value) || (value as number) < min || (value as number) > max) {
    throw new AdminError(`${where} must be a whole number from ${min} to ${max}`)
  }
}

/** Finds a site by name or cloudId; without a name, returns the first one. */
export function resolveSite({ sites }: SandboxState, name: unknown): SandboxSite {
  const site =
    name === undefined
      ? sites[0]
      : sites.find((candidate) => candidate.name === name || candidate.cloudId === name)
  if (site === undefined) throw new AdminError(`no site ${name}`)
  return site
}
