import type { Mutation } from './mutation.ts'

const SOURCES = 'test/api/request-source.test.ts'
const SITES = 'test/connections/outbound-sites.long.ts'
const EXCHANGE = 'test/auth/exchange.long.ts'
const REDIRECTS = 'test/auth/redirects.test.ts'

/** Defences against other sites, in browsers and in what Atlassian answers. */
export const WEB_MUTATIONS: readonly Mutation[] = [
  {
    name: 'A response lets browsers send its address to other sites',
    file: 'src/http/security-headers.ts',
    find: "  'referrer-policy': 'no-referrer',\n",
    replace: '',
    test: 'test/auth/no-secrets-in-urls.test.ts',
    proves: ['T22']
  },
  {
    name: 'The text of a failure is HTML on the pages of this service',
    file: 'src/http/html.ts',
    find: 'return text.replace(/[&<>"\']/g, (character) => `&#$' + '{character.charCodeAt(0)};`)',
    replace: 'return text',
    test: 'test/auth/no-secrets-in-urls.test.ts',
    proves: ['T22']
  },
  {
    name: 'Other sites may show a response in a frame',
    file: 'src/http/security-headers.ts',
    find: "  'x-frame-options': 'DENY'\n",
    replace: '',
    test: 'test/limits/security-headers.test.ts',
    proves: ['C12']
  },
  {
    name: 'Answers to bytes that are not HTTP have no security headers',
    file: 'src/http/client-error.ts',
    find: '\\r\\n$' + '{SERIALIZED_HEADERS}Connection',
    replace: '\\r\\nConnection',
    test: 'test/limits/security-headers.test.ts',
    proves: ['C12']
  },
  {
    name: 'Production serves the sandbox',
    file: 'plugins/sandbox.ts',
    find: 'if (app.config.production) {',
    replace: 'if (false) {',
    test: 'test/api/health.test.ts',
    proves: ['C12', 'T39']
  },
  {
    name: 'Production shows the API description',
    file: 'plugins/access.ts',
    find: 'if (!config.publicDocs) throw',
    replace: 'if (false) throw',
    test: 'test/access/scanner-probes.test.ts',
    proves: ['T39']
  },
  {
    name: 'A secret under a NEXT_PUBLIC_ name gets no warning',
    file: 'src/config/published-secrets.ts',
    find: '/^NEXT_PUBLIC_.*SECRET$/',
    replace: '/^PUBLIC_.*SECRET$/',
    test: 'test/config/aliases.test.ts',
    proves: ['T26']
  },
  {
    name: 'A return_url is compared by how its origin begins',
    file: 'src/http/return-url.ts',
    find: 'url.origin !== origin ||',
    replace: '!url.origin.startsWith(origin) ||',
    test: REDIRECTS,
    proves: ['T27']
  },
  {
    name: 'The path of a return_url may begin with two slashes',
    file: 'src/http/return-url.ts',
    find: "return url.pathname.startsWith('//')\n    ? undefined\n    : `",
    replace: 'return `',
    test: REDIRECTS,
    proves: ['T27']
  },
  {
    name: 'Scripts of every origin read responses where some origins are configured',
    file: 'plugins/cors.ts',
    find: ': [...corsOrigins],',
    replace: ': true,',
    test: 'test/api/request-id.test.ts',
    proves: ['C11', 'T29']
  },
  {
    name: 'Scripts of other origins may send credentials',
    file: 'plugins/cors.ts',
    find: 'credentials: false,',
    replace: 'credentials: true,',
    test: 'test/api/request-id.test.ts',
    proves: ['C11']
  },
  {
    name: 'Pages of every origin may call a service in development with an Atlassian app',
    file: 'plugins/request-source.ts',
    find: '(hasOriginCheck && !isKnownOrigin(request, corsOrigins))',
    replace: 'false',
    test: SOURCES,
    proves: ['T29']
  },
  {
    name: 'Development with an Atlassian app may name every origin',
    file: 'src/config/insecure.ts',
    find: '...(hasAtlassianApp(resolved) ? findOpenOrigins(resolved) : []),',
    replace: '',
    test: 'test/config/insecure.test.ts',
    proves: ['T29']
  },
  {
    name: 'Calls to Atlassian follow redirects',
    file: 'src/lib/http-client.ts',
    find: "        dispatcher: typeof network === 'function' ? await network() : network,\n",
    replace:
      "        dispatcher: (typeof network === 'function' ? await network() : network).compose(\n" +
      "          (await import('undici')).interceptors.redirect({ maxRedirections: 2 })\n" +
      '        ),\n',
    test: 'test/connections/outbound-redirects.long.ts',
    proves: ['C13', 'T28']
  },
  {
    name: 'Every cloud id in the list of sites is stored',
    file: 'src/providers/atlassian.ts',
    find: 'cloudId === null || !UUID_PATTERN.test(cloudId) || address === null',
    replace: 'cloudId === null || address === null',
    test: SITES,
    proves: ['C13', 'T17']
  },
  {
    name: 'A stored cloud id is requested whatever it is',
    file: 'src/providers/gateway.ts',
    find: 'if (!UUID_PATTERN.test(site.cloudId)) {',
    replace: "if (site.cloudId === '') {",
    test: SITES,
    proves: ['C13', 'T17']
  },
  {
    name: 'A site may have an address of any scheme',
    file: 'src/providers/atlassian.ts',
    find: '    /^https?:$/.test(url.protocol) &&\n',
    replace: '',
    test: SITES,
    proves: ['C13', 'T28']
  },
  {
    name: 'A token that is not a bearer token is stored',
    file: 'src/oauth/tokens.ts',
    find: "if (typeof tokenType !== 'string' || tokenType.toLowerCase() !== 'bearer') {",
    replace: 'if (false) {',
    test: EXCHANGE
  },
  {
    name: 'A token with control characters is stored',
    file: 'src/oauth/tokens.ts',
    find: 'if (![accessToken, refreshToken].every((token) => isPrintable(token))) {',
    replace: 'if (false) {',
    test: EXCHANGE
  }
]
