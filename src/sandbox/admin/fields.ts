import type { Site } from '../data/sites.ts'
import type { World } from '../state.ts'

/** A sentence for the person who called the admin API. */
export class AdminError extends Error {}

type Kind = 'string' | 'number' | 'boolean' | 'object' | 'strings' | 'any'

/** The fields an admin call knows: name to kind, with a question mark when it may be left out. */
export type Shape = Record<string, Kind | `${Kind}?`>

/**
 * Checks an admin body: unknown, missing and mistyped fields are refused by name.
 *
 * @throws {AdminError}
 */
export function readFields(body: unknown, shape: Shape, where = 'body'): Record<string, unknown> {
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
      fields[name] === undefined ? !optional : !isA(fields[name], kind.replace('?', '') as Kind)
    ) {
      throw new AdminError(
        `${where}.${name} must be ${kind.replace('?', '') === 'strings' ? 'a list of strings' : `a ${kind.replace('?', '')}`}`
      )
    }
  }
  return fields
}

function isA(value: unknown, kind: Kind): boolean {
  if (kind === 'any') return true
  if (kind === 'strings') {
    return Array.isArray(value) && value.every((item) => typeof item === 'string')
  }
  if (kind === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value)
  if (kind === 'number') return Number.isFinite(value)
  return kind === 'string' ? typeof value === 'string' : typeof value === 'boolean'
}

/** One of a few words. @throws {AdminError} */
export function oneOf<T extends string>(value: unknown, words: readonly T[], where: string): T {
  const word = words.find((candidate) => candidate === value)
  if (word === undefined) throw new AdminError(`${where} must be one of ${words.join(', ')}`)
  return word
}

/** By name or cloudId; the first site when none is named. */
/** @throws AdminError unless it is a whole number of the range */
export function inRange(value: unknown, least: number, most: number, where: string): void {
  if (!Number.isInteger(value) || (value as number) < least || (value as number) > most) {
    throw new AdminError(`${where} must be a whole number from ${least} to ${most}`)
  }
}

export function siteOf({ sites }: World, name: unknown): Site {
  const site =
    name === undefined
      ? sites[0]
      : sites.find((candidate) => candidate.name === name || candidate.cloudId === name)
  if (site === undefined) throw new AdminError(`no site ${name}`)
  return site
}
