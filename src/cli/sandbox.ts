import type { AddressInfo } from 'node:net'
import { defineCommand, parseInteger } from './command.ts'
import { buildHttpUrl } from '../http/public-url.ts'
import { DEMO_CLIENT } from '../sandbox/oauth/clients.ts'
import { buildSandbox } from '../sandbox/server.ts'

const MAX_PORT = 65_535
const INTEGER_OPTION = { rule: 'must be a whole number', parse: parseInteger } as const

export const sandbox = defineCommand({
  description:
    'Start a stand-in for Atlassian: OAuth 2.0, Jira and Confluence with generated data\n' +
    '(docs/sandbox.md). Prints the settings that connect the service to it.',
  options: {
    port: {
      flags: '--port <port>',
      description: 'The port to listen on; 0 takes a free one.',
      default: '4001',
      rule: `must be a whole number up to ${MAX_PORT}`,
      parse: (text) => {
        const port = parseInteger(text)
        return port !== undefined && port <= MAX_PORT ? port : undefined
      }
    },
    host: {
      flags: '--host <host>',
      description: 'The address to listen on.',
      default: '127.0.0.1'
    },
    projects: {
      flags: '--projects <count>',
      description: 'Projects of the first site. The second site has a sixth of each size.',
      ...INTEGER_OPTION
    },
    issues: {
      flags: '--issues <count>',
      description: 'Issues of the first site.',
      ...INTEGER_OPTION
    },
    spaces: {
      flags: '--spaces <count>',
      description: 'Spaces of the first site.',
      ...INTEGER_OPTION
    },
    pages: { flags: '--pages <count>', description: 'Pages of the first site.', ...INTEGER_OPTION },
    seed: {
      flags: '--seed <number>',
      description: 'Another seed generates other data.',
      ...INTEGER_OPTION
    },
    burst: {
      flags: '--burst <count>',
      description: 'Rate limit: the size of a burst bucket.',
      ...INTEGER_OPTION
    },
    points: {
      flags: '--points <count>',
      description: 'Rate limit: points per hour.',
      ...INTEGER_OPTION
    },
    access: {
      flags: '--access <mode>',
      description: 'What a consent covers: every site of the account, or one site (resource).',
      default: 'resource',
      rule: 'must be account or resource',
      parse: (text) => (text === 'account' || text === 'resource' ? text : undefined)
    },
    clientId: {
      flags: '--client-id <id>',
      description: 'The id of the OAuth client.',
      default: DEMO_CLIENT.id
    },
    clientSecret: {
      flags: '--client-secret <secret>',
      description: 'The secret of the OAuth client.',
      default: DEMO_CLIENT.secret
    },
    redirectUri: {
      flags: '--redirect-uri <uri>',
      description:
        'A redirect URI of the OAuth client; may be repeated. Default: any HTTP address of this machine.',
      isRepeatable: true
    }
  },
  examples: [
    ['', 'Listen on http://127.0.0.1:4001.'],
    ['--port 0 --projects 500 --issues 20000', 'A large site on a free port.']
  ],
  async run({ port, host, access, clientId, clientSecret, redirectUri, ...options }) {
    const { projects, issues, spaces, pages, seed, burst, points } = options
    const sizes = Object.fromEntries(
      Object.entries({ projects, issues, spaces, pages }).filter(([, size]) => size !== undefined)
    )
    const app = buildSandbox({
      seed,
      burst,
      hourlyPoints: points,
      sizes,
      clients: [
        {
          ...DEMO_CLIENT,
          id: clientId,
          secret: clientSecret,
          redirectUris: redirectUri ?? DEMO_CLIENT.redirectUris,
          access
        }
      ]
    })
    await app.listen({ port, host })
    const address = app.server.address() as AddressInfo
    console.log(formatSettings(buildHttpUrl(host, address.port), clientId, clientSecret))
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => app.close())
  }
})

function formatSettings(url: string, id: string, secret: string): string {
  return `Atlassian sandbox on ${url} (admin API: ${url}/admin/state). For the connector:

ATLASSIAN_AUTH_URL=${url}
ATLASSIAN_API_URL=${url}
JIRA_OAUTH_CLIENT_ID=${id}
JIRA_OAUTH_CLIENT_SECRET=${secret}
JIRA_OAUTH_REDIRECT_URI=http://localhost:3001/auth/jira/callback
CONFLUENCE_OAUTH_CLIENT_ID=${id}
CONFLUENCE_OAUTH_CLIENT_SECRET=${secret}
CONFLUENCE_OAUTH_REDIRECT_URI=http://localhost:3001/auth/confluence/callback
`
}
