import { hash, pick } from './hash.ts'
import { generateTitle } from './generated-names.ts'
import { createRecords } from './records.ts'
import type { LagClock, Records } from './records.ts'
import type { Row } from './row.ts'
import { createTimeline } from './timeline.ts'
import type { Projects } from './projects.ts'

export const STATUSES = ['To Do', 'In Progress', 'Done'] as const
const ISSUE_TYPES = ['Task', 'Bug', 'Story', 'Epic'] as const

export interface IssueRow extends Row {
  id: string
  /** Position of the project. */
  project: number
  /** The number in the key: 7 for PAY-7. */
  number: number
  deleted: boolean
  summary?: string | undefined
  status?: string | undefined
}

export interface Issues extends Records<IssueRow> {
  key: (row: IssueRow) => string
  summary: (row: IssueRow) => string
  status: (row: IssueRow) => string
  type: (row: IssueRow) => string
  findById: (id: string) => IssueRow | undefined
  /** Also finds a moved issue by its earlier keys. */
  findByKey: (key: string) => IssueRow | undefined
  create: (issue: {
    project: number
    summary?: string | undefined
    status?: string | undefined
  }) => IssueRow
  /**
   * The patch that moves an issue to another project: it gets the project's next number and
   * keeps its id.
   */
  prepareMove: (position: number, project: number) => Pick<IssueRow, 'project' | 'number'>
}

const FIRST_ID = 10000
const ID_SPACING = 3

/**
 * Assigns issues to projects in turn, so that listing the issues of one project needs no search.
 */
export function createIssues(
  seed: number,
  count: number,
  projects: Projects,
  lagClock: LagClock
): Issues {
  const size = projects.end() === 0 ? 0 : count
  const ownerCount = Math.max(projects.end(), 1)
  const timeline = createTimeline(hash(seed, 110, 0), size)
  const records = createRecords<IssueRow>({ timeline, lagClock, generate })
  /** Positions by project and number, for numbers that do not follow from the position. */
  const positionByNumber = new Map<string, number>()
  const lastNumbers = new Map<number, number>()
  const idAt = (position: number) => String(FIRST_ID + position * ID_SPACING)

  function generate(position: number): IssueRow {
    return {
      position,
      id: idAt(position),
      project: position % ownerCount,
      number: Math.floor(position / ownerCount) + 1,
      deleted: false,
      created: timeline.created(position),
      modified: timeline.modified(position),
      version: 1
    }
  }

  function findByKey(issueKey: string) {
    const [, prefix, digits] = /^(.+)-(\d{1,8})$/.exec(issueKey.toUpperCase()) ?? []
    const project = prefix === undefined ? undefined : projects.findByKey(prefix)
    if (project === undefined) return undefined
    const generated = (Number(digits) - 1) * ownerCount + project.position
    const position =
      positionByNumber.get(`${project.position}-${Number(digits)}`) ??
      (project.position < ownerCount && generated < size ? generated : undefined)
    return position === undefined ? undefined : records.at(position)
  }

  function nextNumber(project: number): number {
    const generated =
      project < ownerCount ? Math.max(Math.ceil((size - project) / ownerCount), 0) : 0
    const number = (lastNumbers.get(project) ?? generated) + 1
    lastNumbers.set(project, number)
    return number
  }

  function create({
    project,
    summary,
    status
  }: {
    project: number
    summary?: string | undefined
    status?: string | undefined
  }) {
    const number = nextNumber(project)
    const at = lagClock.now()
    const row = records.add((position) => ({
      position,
      id: idAt(position),
      project,
      number,
      deleted: false,
      summary,
      status,
      created: at,
      modified: at,
      version: 1
    }))
    positionByNumber.set(`${project}-${number}`, row.position)
    return row
  }

  function prepareMove(position: number, project: number) {
    const number = nextNumber(project)
    positionByNumber.set(`${project}-${number}`, position)
    return { project, number }
  }

  return {
    ...records,
    findByKey,
    create,
    prepareMove,
    key: ({ project, number }) => `${projects.at(project)?.key ?? '?'}-${number}`,
    summary: (row) => row.summary ?? generateTitle(hash(seed, 111, 0), row.position),
    status: (row) => row.status ?? pick(STATUSES, seed, 112, row.position),
    type: (row) => pick(ISSUE_TYPES, seed, 113, row.position),
    findById: (id) =>
      /^\d{1,9}$/.test(id) ? records.at((Number(id) - FIRST_ID) / ID_SPACING) : undefined
  }
}
