import { CONTAINERS_PER_SPACE } from './containers.ts'
import type { ContainerRow, ParentType } from './containers.ts'
import { hash } from './hash.ts'
import type { PageRow } from './pages.ts'
import type { SandboxSite } from './sites.ts'

type Tree = Pick<SandboxSite, 'seed' | 'pages' | 'spaces' | 'containers'>

export interface Parent {
  type: ParentType
  id: string
}

/** Of so many pages one is below each container of its space, and one at the root. */
const PARENT_CHOICES = 12

/** Null at the root of a space. A space has several root pages, not only its homepage. */
export function findParent({ seed, pages, containers }: Tree, row: PageRow): Parent | null {
  const parentPage = pages.parentPosition(row)
  if (parentPage === undefined) return null
  const choice = hash(seed, 171, row.position) % PARENT_CHOICES
  if (choice === CONTAINERS_PER_SPACE) return null
  const container =
    choice < CONTAINERS_PER_SPACE
      ? containers.ofSpace(row.position % pages.spaceCount, choice)
      : undefined
  return container === undefined
    ? { type: 'page', id: pages.idAt(parentPage) }
    : { type: container.type, id: container.id }
}

/** The pages directly below a page or container, in order of their ids. */
export function* listChildPages(tree: Tree, space: number, parentId: string): Generator<PageRow> {
  const residues = { modulus: tree.pages.spaceCount, classes: [space % tree.pages.spaceCount] }
  for (const row of tree.pages.scan({ order: 'id', residues })) {
    const isListed = row.status === 'current' || row.status === 'archived'
    if (isListed && findParent(tree, row)?.id === parentId) yield row
  }
}

export function listChildContainers(tree: Tree, space: number, parentId: string): ContainerRow[] {
  return Array.from({ length: CONTAINERS_PER_SPACE }, (_, index) =>
    tree.containers.ofSpace(space, index)
  ).filter((row) => row?.parent?.id === parentId) as ContainerRow[]
}
