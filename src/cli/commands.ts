import type { CommandEntry, CommandGroup } from './command.ts'

/** Every command, in the order of the help. */
export const COMMANDS: ReadonlyArray<CommandEntry | CommandGroup> = [
  {
    name: 'serve',
    summary: 'Start the service. This is the default.',
    load: async () => (await import('./serve.ts')).serve
  },
  {
    name: 'sandbox',
    summary: 'Start a stand-in for Atlassian, for development and tests.',
    load: async () => (await import('./sandbox.ts')).sandbox
  },
  {
    name: 'sync',
    summary: 'Copy the data of one connection now, and watch the run.',
    load: async () => (await import('./sync.ts')).sync
  },
  {
    name: 'keys',
    summary: 'Manage the vault keys, which encrypt the stored tokens.',
    examples: [
      ['list', 'Which keys there are, and which instances lack one.'],
      ['add', 'The first step of replacing a key.']
    ],
    commands: [
      {
        name: 'create',
        aliases: ['new'],
        summary: 'Generate a vault key.',
        load: async () => (await import('./vault-keys.ts')).createKey
      },
      {
        name: 'add',
        summary: 'Generate a vault key and add it to the key file.',
        load: async () => (await import('./vault-keys.ts')).addKey
      },
      {
        name: 'list',
        aliases: ['status'],
        summary: 'List the vault keys and how many grants each one encrypts.',
        load: async () => (await import('./vault-keys.ts')).listKeys
      },
      {
        name: 'promote',
        summary: 'Make a vault key the one that encrypts.',
        load: async () => (await import('./vault-key-changes.ts')).promoteKey
      },
      {
        name: 'rotate',
        summary: 'Re-encrypt every grant with the current vault key.',
        load: async () => (await import('./vault-keys.ts')).rotateKeys
      },
      {
        name: 'remove',
        summary: 'Remove a vault key that nothing needs any more.',
        load: async () => (await import('./vault-key-changes.ts')).removeKey
      },
      {
        name: 'give-up',
        summary: 'Give up a lost vault key: its people have to connect again.',
        load: async () => (await import('./vault-key-changes.ts')).giveUp
      }
    ]
  },
  {
    name: 'api-keys',
    summary: 'Manage the keys with which software calls the API.',
    examples: [
      ['create --name crm --scopes data:read', 'Create a key.'],
      ['revoke crm', 'Revoke it.']
    ],
    commands: [
      {
        name: 'create',
        summary: 'Create an API key. It is printed once.',
        load: async () => (await import('./api-keys.ts')).createApiKey
      },
      {
        name: 'list',
        summary: 'List the API keys and when each was last used.',
        load: async () => (await import('./api-keys.ts')).listApiKeys
      },
      {
        name: 'revoke',
        summary: 'Revoke an API key.',
        load: async () => (await import('./api-keys.ts')).revokeApiKey
      }
    ]
  },
  {
    name: 'connections',
    summary: 'List, check and resume the connections of all users.',
    examples: [['list --state needs_reconnect', 'Who has to connect again.']],
    commands: [
      {
        name: 'list',
        summary: 'List the connections with their state, and count them.',
        load: async () => (await import('./connections.ts')).listConnections
      },
      {
        name: 'check',
        summary: 'Ask Atlassian whether a connection works.',
        load: async () => (await import('./connections.ts')).checkConnectionCommand
      },
      {
        name: 'resume',
        summary: 'End every wait of a connection and sync it now.',
        load: async () => (await import('./connections.ts')).resumeConnectionCommand
      }
    ]
  },
  {
    name: 'users',
    summary: 'List the users.',
    examples: [['list', 'One line for each user.']],
    commands: [
      {
        name: 'list',
        summary: 'List the users, oldest first.',
        load: async () => (await import('./users.ts')).listUsers
      }
    ]
  },
  {
    name: 'runs',
    summary: 'List the sync runs of all users.',
    examples: [['list --state failed --since 24h', 'What failed within a day.']],
    commands: [
      {
        name: 'list',
        summary: 'List the sync runs, newest first.',
        load: async () => (await import('./runs.ts')).listRuns
      }
    ]
  },
  {
    name: 'audit',
    summary: 'Read, verify, export and purge the audit trail.',
    examples: [
      ['list --limit 20', 'The newest 20 entries.'],
      ['verify', 'Verify the chain.']
    ],
    commands: [
      {
        name: 'list',
        summary: 'List audit entries, newest first.',
        load: async () => (await import('./audit.ts')).listEntries
      },
      {
        name: 'verify',
        summary: 'Verify that the audit trail is complete and unchanged.',
        load: async () => (await import('./audit.ts')).verifyTrail
      },
      {
        name: 'export',
        summary: 'Print the audit trail and its anchor, to store them elsewhere.',
        load: async () => (await import('./audit.ts')).exportEntries
      },
      {
        name: 'purge',
        summary: 'Delete old audit entries.',
        load: async () => (await import('./audit.ts')).purgeEntries
      }
    ]
  },
  {
    name: 'db',
    summary: 'Migrate, copy, back up and restore the database.',
    examples: [
      ['migrate', 'Apply the pending migrations.'],
      ['backup --to copy.db', 'Back up a SQLite database.'],
      ['restore --from copy.db', 'Restore it.']
    ],
    commands: [
      {
        name: 'migrate',
        summary: 'Apply the pending migrations.',
        load: async () => (await import('./db-migrate.ts')).migrateDatabase
      },
      {
        name: 'copy',
        summary: 'Copy the whole database into an empty one, also to the other engine.',
        load: async () => (await import('./db-copy.ts')).copyDatabaseCommand
      },
      {
        name: 'backup',
        summary: 'Back up the SQLite database into a new file.',
        load: async () => (await import('./db-backup.ts')).backupDatabaseCommand
      },
      {
        name: 'restore',
        summary: 'Put a backup in place of the database, or finish the restore of one.',
        load: async () => (await import('./db-restore.ts')).restoreDatabaseCommand
      }
    ]
  }
]
