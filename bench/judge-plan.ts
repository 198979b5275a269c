/** Summary of a plan, and its problems. */
export interface PlanAssessment {
  plan: string
  rows: number
  problems: string[]
}

/** Rows that a step may read and discard before it counts as a problem. */
const MAX_DISCARDED_ROWS = 1_000

/** @param details the lines of EXPLAIN QUERY PLAN */
export function assessSqlitePlan(
  details: readonly string[],
  bigTables: ReadonlySet<string>,
  partialIndexes: ReadonlySet<string>
): PlanAssessment {
  const problems = details.flatMap((detail) => {
    const [, table = ''] = /^SCAN (\w+)/.exec(detail) ?? []
    const [, index = ''] = /USING (?:COVERING )?INDEX (\w+)/.exec(detail) ?? []
    if (bigTables.has(table) && !partialIndexes.has(index)) return [`scans ${table}`]
    return detail.startsWith('USE TEMP B-TREE') ? ['sorts'] : []
  })
  const steps = details.filter(
    (detail) => !/^(SCAN \d+ CONSTANT|COMPOUND|CORRELATED|LIST|SCALAR)/.test(detail)
  )
  return { plan: steps.join('; ') || '–', rows: NaN, problems: [...new Set(problems)] }
}

/** A node of EXPLAIN (FORMAT JSON). */
interface PlanNode {
  'Node Type': string
  'Relation Name'?: string
  'Index Name'?: string
  'Actual Rows': number
  'Actual Loops': number
  'Rows Removed by Filter'?: number
  'Sort Space Type'?: string
  'Sort Method'?: string
  'Temp Written Blocks'?: number
  Plans?: PlanNode[]
}

export function assessPostgresPlan(root: PlanNode, bigTables: ReadonlySet<string>): PlanAssessment {
  const nodes = flattenPlan(root)
  const problems = nodes.flatMap((node) => {
    const {
      'Node Type': type,
      'Relation Name': table = '',
      'Index Name': index = '',
      'Actual Loops': loops,
      'Actual Rows': rows
    } = node
    const discarded = (node['Rows Removed by Filter'] ?? 0) * loops
    const isScan =
      type === 'Seq Scan' && bigTables.has(table) && rows * loops + discarded > MAX_DISCARDED_ROWS
    return [
      ...(isScan ? [`scans ${table}`] : []),
      ...(!isScan && discarded > MAX_DISCARDED_ROWS
        ? [`reads ${Math.round(discarded).toLocaleString('en')} rows of ${table || index} in vain`]
        : []),
      ...(node['Sort Space Type'] === 'Disk' || (node['Temp Written Blocks'] ?? 0) > 0
        ? ['spills']
        : [])
    ]
  })
  const steps = nodes
    .filter(({ 'Node Type': type }) => /Scan|Sort|Unique|Hash|Aggregate/.test(type))
    .map((node) =>
      [node['Node Type'], node['Index Name'] ?? node['Relation Name']].filter(Boolean).join(' ')
    )
  return {
    plan: [...new Set(steps)].join('; ') || root['Node Type'],
    rows: Math.round(root['Actual Rows'] * root['Actual Loops']),
    problems: [...new Set(problems)]
  }
}

function flattenPlan(node: PlanNode): PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(flattenPlan)]
}
