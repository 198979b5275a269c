// The one file that old Nodes can read: it says what is needed before anything newer is loaded.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)

if (major < 22 || (major === 22 && minor < 19)) {
  console.error(
    `Node ${process.versions.node} is too old: this service needs 22.19 or newer. Start it with "npm start", which brings Node 24 along.`
  )
  process.exit(1)
}

await import('./fast-start.js')

if (process.argv[2] === 'warm') await import('./warm.ts')
else {
  const { runCli } = await import('./cli/index.ts')
  process.exitCode = await runCli(process.argv.slice(2))
}
