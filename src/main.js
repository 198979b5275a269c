// The one file, with build-age.js, that old Nodes read: it checks the version before it loads more.
import { fileURLToPath } from 'node:url'
import { findStaleReason } from './lib/build-age.js'

const STALE_REPORT_DELAY_MS = 2_000

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)

if (major < 22 || (major === 22 && minor < 19)) {
  console.error(
    `Node ${process.versions.node} is too old: this service needs 22.19 or newer. ` +
      'Start it with node_modules/.bin/node, which "npm ci" installs with the optional packages.'
  )
  process.exit(1)
}

// The kernel discards a signal to process 1 that no handler takes. `serve` replaces these two.
if (process.pid === 1) {
  process.once('SIGINT', () => process.exit(130))
  process.once('SIGTERM', () => process.exit(143))
}

if (import.meta.url.endsWith('/dist/main.js')) {
  const { nameSourcesInStacks } = await import('./lib/source-maps.ts')
  nameSourcesInStacks()
  // After the start, which it would delay; a short command reports it at its end.
  setTimeout(reportStaleBuild, STALE_REPORT_DELAY_MS).unref()
  process.once('exit', reportStaleBuild)
} else {
  await import('./lib/source-loader.js')
}

const { runCli } = await import('./cli/index.ts')
process.exitCode = await runCli(process.argv.slice(2))

/** A build that is older than its sources says so, once. */
function reportStaleBuild() {
  process.off('exit', reportStaleBuild)
  const reason = findStaleReason(fileURLToPath(new URL('../', import.meta.url)))
  if (reason !== undefined) console.error(`Note: ${reason}. Run "npm run build".`)
}
