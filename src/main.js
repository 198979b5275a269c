// The one file that old Nodes can read: it says what is needed before anything newer is loaded.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)

if (major < 22 || (major === 22 && minor < 19)) {
  console.error(
    `Node ${process.versions.node} is too old: this service needs 22.19 or newer. Start it with "npm start", which brings Node 24 along.`
  )
  process.exit(1)
}

await import('./fast-start.js')

const COMMANDS = {
  sandbox: './cli/sandbox.ts',
  warm: './warm.ts',
  keys: './cli/vault-keys.ts',
  sync: './cli/sync.ts',
  'api-keys': './cli/api-keys.ts',
  audit: './cli/audit.ts',
  'db-migrate': './cli/db-migrate.ts',
  'db-copy': './cli/db-copy.ts',
  'db-backup': './cli/db-backup.ts'
}
const command = process.argv[2] ?? ''
await import(Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : './cli/serve.ts')
