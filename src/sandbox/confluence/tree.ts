import { ok } from '../gateway/answer.ts'
import type { SandboxResponse } from '../gateway/answer.ts'
import type { ContainerRow, ContainerType } from '../data/containers.ts'
import { pick } from '../data/hash.ts'
import { listChildContainers, listChildPages } from '../data/page-tree.ts'
import { canSeePage, canSeeSpace } from '../data/visibility.ts'
import type { GatewayCall } from '../state.ts'
import { confluenceError } from './errors.ts'
import { isResponse, pagedResponse, parseCursor, parseLimit } from './paging.ts'

interface Child {
  id: string
  status: string
  title: string
  type: string
  spaceId: string | null
  childPosition: number
}

const CHILD_ORDER = 'child-position'

/** A folder, database or whiteboard that the caller may see. */
function findContainer(call: GatewayCall, type: ContainerType): ContainerRow | undefined {
  const [id = ''] = call.params
  const row = call.site.containers.findById(id)
  return row?.type === type && canSeeSpace(call, call.site.spaces.at(row.space)) ? row : undefined
}

function notFound(type: string, id: string | undefined): SandboxResponse {
  return confluenceError(404, 'NOT_FOUND', `Cannot find a ${type} with id [${id}]`)
}

/**
 * GET folders/{id}, databases/{id}, whiteboards/{id}. Folders have `createdAt` in epoch
 * milliseconds, unlike the document (docs/reference/atlassian.md#91-pages).
 */
export function getContainer(type: ContainerType) {
  return (call: GatewayCall): SandboxResponse => {
    const row = findContainer(call, type)
    if (row === undefined) return notFound(type, call.params[0])
    const { site, state } = call
    const space = site.spaces.at(row.space)
    const author = pick(state.users, site.seed, 172, row.space).accountId
    const createdAt = new Date(row.created).toISOString()
    return ok(
      {
        id: row.id,
        type,
        status: 'current',
        title: row.title,
        spaceId: space?.id ?? null,
        parentId: row.parent?.id ?? null,
        parentType: row.parent?.type ?? null,
        position: row.position,
        authorId: author,
        ownerId: author,
        createdAt: type === 'folder' ? row.created : createdAt,
        version: { number: 1, message: null, minorEdit: false, authorId: author, createdAt },
        _links: {
          webui: `/spaces/${space?.key ?? ''}/${type}/${row.id}`,
          base: `${site.url}/wiki`
        }
      },
      1
    )
  }
}

/** GET pages/{id}/children, deprecated: pages only, so that folders and what is below them are missing. */
export function listChildren(call: GatewayCall): SandboxResponse {
  const [id = ''] = call.params
  const page = call.site.pages.findById(id)
  if (!canSeePage(call, page) || page.status === 'deleted') return notFound('page', id)
  const children = listChildrenOf(call, page.space, id).filter(({ type }) => type === 'page')
  return renderChildren(
    call,
    children.map(({ type: _, ...child }) => child)
  )
}

/** GET pages/{id}/direct-children: pages, folders, databases and whiteboards, without `spaceId`. */
export function listDirectChildrenOfPage(call: GatewayCall): SandboxResponse {
  const [id = ''] = call.params
  const page = call.site.pages.findById(id)
  if (!canSeePage(call, page) || page.status === 'deleted') return notFound('page', id)
  return renderDirectChildren(call, page.space, id)
}

/** The same below a folder, database or whiteboard. */
export function listDirectChildren(type: ContainerType) {
  return (call: GatewayCall): SandboxResponse => {
    const row = findContainer(call, type)
    return row === undefined
      ? notFound(type, call.params[0])
      : renderDirectChildren(call, row.space, row.id)
  }
}

function renderDirectChildren(call: GatewayCall, space: number, id: string): SandboxResponse {
  return renderChildren(
    call,
    listChildrenOf(call, space, id).map(({ spaceId: _, ...child }) => child)
  )
}

function listChildrenOf(call: GatewayCall, space: number, parentId: string): Child[] {
  const { site } = call
  const spaceId = site.spaces.at(space)?.id ?? null
  const containers = listChildContainers(site, space, parentId).map(({ id, title, type }) => ({
    id,
    title,
    type,
    status: 'current'
  }))
  const pages = [...listChildPages(site, space, parentId)]
    .filter((row) => canSeePage(call, row))
    .map((row) => ({ id: row.id, title: site.pages.title(row), type: 'page', status: row.status }))
  return [...containers, ...pages].map((child, childPosition) => ({
    ...child,
    spaceId,
    childPosition
  }))
}

function renderChildren(
  call: GatewayCall,
  children: Array<{ id: string; childPosition: number }>
): SandboxResponse {
  const [limit, cursor] = [parseLimit(call), parseCursor(call, CHILD_ORDER)]
  if (isResponse(limit)) return limit
  if (isResponse(cursor)) return cursor
  const rest = children.filter(
    ({ childPosition }) => childPosition > Number(cursor?.contentOrderValue ?? -1)
  )
  const page = rest.slice(0, limit)
  const last = rest.length > limit ? page.at(-1) : undefined
  return pagedResponse(
    call,
    page,
    last && { id: last.id, contentOrder: CHILD_ORDER, contentOrderValue: last.childPosition }
  )
}
