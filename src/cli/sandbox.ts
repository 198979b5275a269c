import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'
import { buildHttpUrl } from '../http/pagination.ts'
import { buildSandbox } from '../sandbox/server.ts'
import { DEMO_CLIENT } from '../sandbox/oauth/clients.ts'
import type { SandboxClient } from '../sandbox/oauth/clients.ts'
import type { BuildSandboxOptions } from '../sandbox/server.ts'

type NumberOption =
  'port' | 'projects' | 'issues' | 'spaces' | 'pages' | 'seed' | 'burst' | 'points'
const OPTION_DEFINITIONS = {
  port: { type: 'string', default: '4001' },
  host: { type: 'string', default: '127.0.0.1' },
  projects: { type: 'string' },
  issues: { type: 'string' },
  spaces: { type: 'string' },
  pages: { type: 'string' },
  seed: { type: 'string' },
  burst: { type: 'string' },
  points: { type: 'string' },
  access: { type: 'string', default: 'resource' },
  'client-id': { type: 'string', default: DEMO_CLIENT.id },
  'client-secret': { type: 'string', default: DEMO_CLIENT.secret },
  'redirect-uri': { type: 'string', multiple: true },
  help: { type: 'boolean', default: false }
} as const

const HELP = `npm run sandbox -- [options]
  --port N --host H          where to listen (4001, 127.0.0.1)
  --projects N --issues N    size of the first site; the second one has a sixth
  --spaces N --pages N
  --seed N                   other data
  --client-id S --client-secret S
  --redirect-uri URI         may be repeated; without it any http address of this machine is accepted
  --access account|resource  every site of the account, or one site per consent (resource)
  --burst N --points N       size of a burst bucket, points an hour
`

/** A sentence for whoever started the process. */
class OptionError extends Error {}

interface SandboxCommand {
  port: number
  host: string
  options: BuildSandboxOptions
  id: string
  secret: string
}

function parseSandboxOptions(args: string[]): SandboxCommand | undefined {
  const { values } = parseArgs({ args, options: OPTION_DEFINITIONS, strict: true })
  if (values.help) return undefined
  const readInteger = (name: NumberOption) => {
    const text = values[name]
    if (text !== undefined && !/^\d{1,9}$/.test(text)) {
      throw new OptionError(`--${name} must be a whole number, not "${text}".`)
    }
    return text === undefined ? undefined : Number(text)
  }
  const { access } = values
  if (access !== 'account' && access !== 'resource') {
    throw new OptionError(`--access must be account or resource, not "${access}".`)
  }
  const sizes = {
    projects: readInteger('projects'),
    issues: readInteger('issues'),
    spaces: readInteger('spaces'),
    pages: readInteger('pages')
  }
  const definedSizes = Object.fromEntries(
    Object.entries(sizes).filter(([, size]) => size !== undefined)
  )
  const [id, secret] = [values['client-id'], values['client-secret']]
  const redirectUris = values['redirect-uri'] ?? DEMO_CLIENT.redirectUris
  const port = readInteger('port') ?? 0
  if (port > 65_535) throw new OptionError(`--port must be at most 65535, not ${port}.`)
  const clients: SandboxClient[] = [{ ...DEMO_CLIENT, id, secret, redirectUris, access }]
  return {
    port,
    host: values.host,
    id,
    secret,
    options: {
      seed: readInteger('seed'),
      burst: readInteger('burst'),
      hourlyPoints: readInteger('points'),
      sizes: definedSizes,
      clients
    }
  }
}

async function startSandbox({ port, host, id, secret, options }: SandboxCommand) {
  const app = buildSandbox(options)
  await app.listen({ port, host })
  const address = app.server.address() as AddressInfo
  const url = buildHttpUrl(host, address.port)
  console.log(`Atlassian sandbox on ${url} (admin API: ${url}/admin/state). For the connector:

ATLASSIAN_AUTH_URL=${url}
ATLASSIAN_API_URL=${url}
JIRA_OAUTH_CLIENT_ID=${id}
JIRA_OAUTH_CLIENT_SECRET=${secret}
JIRA_OAUTH_REDIRECT_URI=http://localhost:3001/auth/jira/callback
CONFLUENCE_OAUTH_CLIENT_ID=${id}
CONFLUENCE_OAUTH_CLIENT_SECRET=${secret}
CONFLUENCE_OAUTH_REDIRECT_URI=http://localhost:3001/auth/confluence/callback
`)
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => app.close())
}

function describeError(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'EADDRINUSE') return 'The port is in use; choose another one with --port.'
  if (code === 'EACCES') {
    return 'The port may not be used by this account; choose another one with --port.'
  }
  return message
}

try {
  const command = parseSandboxOptions(process.argv.slice(3))
  if (command === undefined) console.log(HELP)
  else await startSandbox(command)
} catch (error) {
  console.error(`sandbox: ${describeError(error)}`)
  process.exitCode = 1
}
