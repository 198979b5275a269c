import type { GatewayCall } from '../state.ts'
import type { IssueRow } from './issues.ts'
import type { PageRow } from './pages.ts'
import type { ProjectRow } from './projects.ts'
import type { SpaceRow } from './spaces.ts'
import type { RecordView } from './records.ts'

/**
 * The caller's view. Neither product distinguishes hidden items from absent ones
 * (docs/reference/atlassian.md#11-errors).
 */
type Viewer = Pick<GatewayCall, 'site' | 'hiddenItems'>

/** In any status; the caller decides which statuses to show. */
export function canSeeProject(
  { hiddenItems }: Viewer,
  row: ProjectRow | undefined
): row is ProjectRow {
  return row !== undefined && hiddenItems?.has('projects', row.position) !== true
}

/** Issues of archived and deleted projects are not visible. */
export function canSeeIssue(
  viewer: Viewer,
  row: IssueRow | undefined,
  view: RecordView = 'live'
): row is IssueRow {
  if (
    row === undefined ||
    row.deleted ||
    viewer.hiddenItems?.has('issues', row.position) === true
  ) {
    return false
  }
  const project = viewer.site.projects.at(row.project, view)
  return project?.status === 'live' && canSeeProject(viewer, project)
}

export function canSeeSpace({ hiddenItems }: Viewer, row: SpaceRow | undefined): row is SpaceRow {
  return row !== undefined && !row.deleted && hiddenItems?.has('spaces', row.position) !== true
}

/** A trashed space is visible, its pages are not. */
function canSeePagesOf(viewer: Viewer, row: SpaceRow | undefined): boolean {
  return canSeeSpace(viewer, row) && row.status !== 'trashed'
}

/** In any status, provided that its space is visible. */
export function canSeePage(
  viewer: Viewer,
  row: PageRow | undefined,
  view: RecordView = 'live'
): row is PageRow {
  return (
    row !== undefined &&
    viewer.hiddenItems?.has('pages', row.position) !== true &&
    canSeePagesOf(viewer, viewer.site.spaces.at(row.space, view))
  )
}
