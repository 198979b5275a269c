import type { CollectionName } from './collections.ts'
import { hash } from './hash.ts'
import { createIssues } from './issues.ts'
import type { Issues } from './issues.ts'
import { createContainers } from './containers.ts'
import type { Containers } from './containers.ts'
import { createPages } from './pages.ts'
import type { Pages } from './pages.ts'
import { createProjects } from './projects.ts'
import type { Projects } from './projects.ts'
import { createSpaces } from './spaces.ts'
import type { Spaces } from './spaces.ts'
import type { LagClock } from './records.ts'
import { createRestrictions } from './restrictions.ts'
import type { Restrictions } from './restrictions.ts'
import { createSiteAnswers } from '../answers/rules.ts'
import type { SiteAnswers } from '../answers/rules.ts'
import { createCorruptions } from './corruptions.ts'
import type { Corruptions } from './corruptions.ts'

/** The number of items per collection. */
export type SiteSizes = Record<CollectionName, number>

export interface SandboxSiteOptions {
  name: string
  cloudId: string
  sizes?: Partial<SiteSizes>
  /** The ids of its products; default: every product. */
  products?: readonly string[]
}

export interface SandboxSite {
  name: string
  cloudId: string
  /** The address for browsers, such as https://acme.atlassian.net. */
  url: string
  seed: number
  products: readonly string[]
  sizes: SiteSizes
  projects: Projects
  issues: Issues
  spaces: Spaces
  pages: Pages
  containers: Containers
  restrictions: Restrictions
  corruptions: Corruptions
  answers: SiteAnswers
}

export const DEFAULT_SIZES: SiteSizes = { projects: 12, issues: 300, spaces: 4, pages: 60 }
const GLOBEX_SIZE_DIVISOR = 6

const ACME = '8f0c1d3e-2222-4b4b-9a9a-000000000001'
const GLOBEX = '8f0c1d3e-2222-4b4b-9a9a-000000000002'

/** Acme has the given sizes, and Globex one sixth of them. */
export function defaultSites(sizes: SiteSizes): SandboxSiteOptions[] {
  const scaleDown = (count: number) => Math.ceil(count / GLOBEX_SIZE_DIVISOR)
  return [
    { name: 'acme', cloudId: ACME, sizes },
    {
      name: 'globex',
      cloudId: GLOBEX,
      sizes: {
        projects: scaleDown(sizes.projects),
        issues: scaleDown(sizes.issues),
        spaces: scaleDown(sizes.spaces),
        pages: scaleDown(sizes.pages)
      }
    }
  ]
}

export function createSite(
  options: SandboxSiteOptions & { products: readonly string[] },
  sizes: SiteSizes,
  sandboxSeed: number,
  lagClock: LagClock
): SandboxSite {
  const ownSizes = { ...sizes, ...options.sizes }
  const seed = hash(sandboxSeed, 1, Number.parseInt(options.cloudId.slice(-6), 16) || 0)
  const projects = createProjects(seed, ownSizes.projects, lagClock)
  const spaces = createSpaces(seed, ownSizes.spaces, lagClock)
  const pages = createPages(seed, ownSizes.pages, spaces, lagClock)
  const spaceCount = spaces.end()
  return {
    name: options.name,
    cloudId: options.cloudId,
    url: `https://${options.name}.atlassian.net`,
    seed,
    products: options.products,
    sizes: ownSizes,
    projects,
    spaces,
    issues: createIssues(seed, ownSizes.issues, projects, lagClock),
    pages,
    containers: createContainers(seed, spaceCount, (space) =>
      space < Math.min(spaceCount, ownSizes.pages) ? pages.idAt(space) : undefined
    ),
    restrictions: createRestrictions(),
    corruptions: createCorruptions(),
    answers: createSiteAnswers(seed)
  }
}
