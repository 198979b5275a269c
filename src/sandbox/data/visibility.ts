import type { Call } from '../gateway/call.ts'
import type { IssueRow } from './issues.ts'
import type { PageRow } from './pages.ts'
import type { ProjectRow } from './projects.ts'
import type { SpaceRow } from './spaces.ts'
import type { View } from './records.ts'

/** What the person who calls can see: neither product tells what is hidden from what is not there (atlassian.md section 11). */
type Sight = Pick<Call, 'site' | 'hidden'>

/** In any status; which of them are shown is the caller's affair. */
export function seesProject({ hidden }: Sight, row: ProjectRow | undefined): row is ProjectRow {
  return row !== undefined && hidden?.has('projects', row.position) !== true
}

/** Issues of archived and deleted projects are gone with them. */
export function seesIssue(
  sight: Sight,
  row: IssueRow | undefined,
  view: View = 'live'
): row is IssueRow {
  if (row === undefined || row.deleted || sight.hidden?.has('issues', row.position) === true) {
    return false
  }
  const project = sight.site.projects.at(row.project, view)
  return project?.status === 'live' && seesProject(sight, project)
}

export function seesSpace({ hidden }: Sight, row: SpaceRow | undefined): row is SpaceRow {
  return row !== undefined && !row.deleted && hidden?.has('spaces', row.position) !== true
}

/** In any status, as long as its space is there. */
export function seesPage(
  sight: Sight,
  row: PageRow | undefined,
  view: View = 'live'
): row is PageRow {
  return (
    row !== undefined &&
    sight.hidden?.has('pages', row.position) !== true &&
    seesSpace(sight, sight.site.spaces.at(row.space, view))
  )
}
