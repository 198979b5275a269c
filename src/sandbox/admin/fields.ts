import type { SandboxSite } from '../data/sites.ts'
import type { SandboxState } from '../state.ts'

/** A sentence for the person who called the admin API. */
export class AdminError extends Error {}

type FieldKind = 'string' | 'number' | 'boolean' | 'object' | 'strings' | 'any'

/** The fields an admin call knows: name to kind, with a question mark when it may be left out. */
export type FieldShape = Record<string, FieldKind | `${FieldKind}?`>

/**
 * Checks an admin body: unknown, missing and mistyped fields are refused by name.
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
      throw new AdminError(
        `${where}.${name} must be ${kind.replace('?', '') === 'strings' ? 'a list of strings' : `a ${kind.replace('?', '')}`}`
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

/** One of a few words. @throws {AdminError} */
export function requireOneOf<T extends string>(
  value: unknown,
  options: readonly T[],
  where: string
): T {
  const option = options.find((candidate) => candidate === value)
  if (option === undefined) throw new AdminError(`${where} must be one of ${options.join(', ')}`)
  return option
}

/** By name or cloudId; the first site when none is named. */
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

export function resolveSite({ sites }: SandboxState, name: unknown): SandboxSite {
  const site =
    name === undefined
      ? sites[0]
      : sites.find((candidate) => candidate.name === name || candidate.cloudId === name)
  if (site === undefined) throw new AdminError(`no site ${name}`)
  return site
}
