import { hash, pick } from './hash.ts'

const QUALIFIERS = [
  'Quarterly',
  'Internal',
  'Draft',
  'Shared',
  'Regional',
  'Legacy',
  'Public',
  'Second',
  'Weekly',
  'Open'
] as const
const NOUNS = [
  'runbook',
  'roadmap',
  'budget',
  'retrospective',
  'handbook',
  'checklist',
  'minutes',
  'architecture',
  'glossary',
  'plan'
] as const

/**
 * Titles as real users write them: markup, quotes, emoji with joiners, right-to-left text,
 * combining marks.
 */
const UNUSUAL_TITLES = [
  '🚀 Launch plan',
  '👩‍👩‍👧 Family day',
  '設計ドキュメント',
  'مرحبا بالعالم',
  'שלום עולם',
  'Cafe\u0301 menu (combining)',
  'Quotes "double" and \'single\'',
  '<b>Bold</b> & <i>italic</i>',
  'Straße der Überprüfung',
  'Back\\slash / slash',
  'Ελληνικά',
  '100% done? #1 + more'
] as const

const PROJECTS = [
  'Payments',
  'Operations',
  'Platform',
  'Mobile apps',
  'People',
  'Website',
  'Data',
  'Security',
  'Support desk',
  'Research',
  'Legal',
  'Finance'
] as const
const PROJECT_KEYS = [
  'PAY',
  'OPS',
  'PLAT',
  'MOB',
  'HR',
  'WEB',
  'DATA',
  'SEC',
  'DESK',
  'RND',
  'LEGAL',
  'FIN'
] as const
const SPACES = ['Engineering', 'Design', 'People', 'Product', 'Finance', 'Support'] as const
const SPACE_KEYS = ['ENG', 'DES', 'HR', 'PROD', 'FIN', 'SUP'] as const

/** A title made unique by its number; one in four is unusual. */
export function generateTitle(seed: number, position: number): string {
  if (hash(seed, 20, position) % 4 === 0) {
    return `${pick(UNUSUAL_TITLES, seed, 21, position)} ${position + 1}`
  }
  return `${pick(QUALIFIERS, seed, 22, position)} ${pick(NOUNS, seed, 23, position)} ${position + 1}`
}

/** The first twelve projects have familiar names, the rest are generated. */
export function generateProjectName(seed: number, position: number): string {
  return PROJECTS[position] ?? generateTitle(seed, position)
}

/** Two letters and the position. Unique, and `findProjectPosition` reverses it. */
export function generateProjectKey(seed: number, position: number): string {
  const letter = (stream: number) => String.fromCharCode(65 + (hash(seed, stream, position) % 26))
  return PROJECT_KEYS[position] ?? `${letter(30)}${letter(31)}${position}`
}

/** @returns the position of a generated key; the caller checks that the key matches it */
export function findProjectPosition(key: string): number {
  const namedPosition = (PROJECT_KEYS as readonly string[]).indexOf(key)
  return namedPosition >= 0 ? namedPosition : Number(/^[A-Z]{2}(\d{2,7})$/.exec(key)?.[1] ?? -1)
}

export function generateSpaceName(seed: number, position: number): string {
  return SPACES[position] ?? generateTitle(seed, position)
}

/** Every fifth space is personal: its key starts with a tilde. */
export function generateSpaceKey(seed: number, position: number): string {
  if (position % 5 === 3) return `~712020${hash(seed, 40, position).toString(16)}${position}`
  return SPACE_KEYS[position] ?? `SP${position}`
}
