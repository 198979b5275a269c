import { defineCommand, JSON_OPTION, printResult } from './command.ts'
import { LIMIT_OPTION, limitRows, runFleetCommand } from './fleet-options.ts'
import { replaceControlChars } from './terminal.ts'

export const listUsers = defineCommand({
  description: 'List the users, oldest first. Reads the database.',
  options: { limit: LIMIT_OPTION, json: JSON_OPTION },
  examples: [['', 'One line for each user.']],
  usesDatabase: true,
  async run({ limit, json }) {
    const rows = await runFleetCommand(async ({ users }) => await users.list(limit + 1))
    const users = limitRows(rows, limit).map(({ id, email, displayName }) => ({
      id,
      email,
      display_name: displayName
    }))
    const lines = users.map(({ id, email, display_name: name }) =>
      replaceControlChars([id, email, ...(name === null ? [] : [name])].join('  '))
    )
    printResult(json, users, lines.join('\n') || 'There are no users.')
  }
})
