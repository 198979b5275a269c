import type { Collection } from './collections.ts'
import { hash } from './hash.ts'
import { createIssues } from './issues.ts'
import type { Issues } from './issues.ts'
import { createPages } from './pages.ts'
import type { Pages } from './pages.ts'
import { createProjects } from './projects.ts'
import type { Projects } from './projects.ts'
import { createSpaces } from './spaces.ts'
import type { Spaces } from './spaces.ts'
import type { Pace } from './records.ts'
import { createRestrictions } from './restrictions.ts'
import type { Restrictions } from './restrictions.ts'
import { createSpoils } from '../admin/corrupt-items.ts'
import type { Spoils } from '../admin/corrupt-items.ts'

export type Product = 'jira' | 'confluence'
export const PRODUCTS: readonly Product[] = ['jira', 'confluence']

/** How many of each a site holds. */
export type Sizes = Record<Collection, number>

export interface SiteOptions {
  name: string
  cloudId: string
  sizes?: Partial<Sizes>
  products?: readonly Product[]
}

export interface Site {
  name: string
  cloudId: string
  /** What people open in a browser, https://acme.atlassian.net. */
  url: string
  seed: number
  products: readonly Product[]
  sizes: Sizes
  projects: Projects
  issues: Issues
  spaces: Spaces
  pages: Pages
  restrictions: Restrictions
  spoils: Spoils
}

export const SIZES: Sizes = { projects: 12, issues: 300, spaces: 4, pages: 60 }
const SMALLER = 6

export const ACME = '8f0c1d3e-2222-4b4b-9a9a-000000000001'
export const GLOBEX = '8f0c1d3e-2222-4b4b-9a9a-000000000002'

/** Acme has the given sizes, Globex a sixth of them. */
export function defaultSites(sizes: Sizes): SiteOptions[] {
  const share = (count: number) => Math.ceil(count / SMALLER)
  return [
    { name: 'acme', cloudId: ACME, sizes },
    {
      name: 'globex',
      cloudId: GLOBEX,
      sizes: {
        projects: share(sizes.projects),
        issues: share(sizes.issues),
        spaces: share(sizes.spaces),
        pages: share(sizes.pages)
      }
    }
  ]
}

export function createSite(
  options: SiteOptions,
  sizes: Sizes,
  worldSeed: number,
  pace: Pace
): Site {
  const own = { ...sizes, ...options.sizes }
  const seed = hash(worldSeed, 1, Number.parseInt(options.cloudId.slice(-6), 16) || 0)
  const projects = createProjects(seed, own.projects, pace)
  const spaces = createSpaces(seed, own.spaces, pace)
  return {
    name: options.name,
    cloudId: options.cloudId,
    url: `https://${options.name}.atlassian.net`,
    seed,
    products: options.products ?? PRODUCTS,
    sizes: own,
    projects,
    spaces,
    issues: createIssues(seed, own.issues, projects, pace),
    pages: createPages(seed, own.pages, spaces, pace),
    restrictions: createRestrictions(),
    spoils: createSpoils()
  }
}
