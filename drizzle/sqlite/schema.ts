import { tables } from '../tables.ts'
import { columns } from './columns.ts'

export const { users, flows, grants, connections, runs, projects, pages } = tables(columns)
