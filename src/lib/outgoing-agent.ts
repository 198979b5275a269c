import { Agent, EnvHttpProxyAgent, Pool, type Dispatcher } from 'undici'

export interface OutgoingAgentSettings {
  connectTimeoutMs: number
  /** The proxy for https requests, and the hosts that are reached without it; null: none. */
  proxy: { url: URL; excludedHosts: string } | null
}

const MAX_CONNECTIONS_PER_ORIGIN = 32

/**
 * Creates the pool of connections for every HTTP request of the service. https goes through the proxy,
 * if there is one, in a tunnel (CONNECT, RFC 9110 section 9.3.6); http does not, because only a sandbox
 * and addresses of this machine use it.
 */
export function createOutgoingAgent({
  connectTimeoutMs,
  proxy
}: OutgoingAgentSettings): Dispatcher {
  const options = {
    connectTimeout: connectTimeoutMs,
    connections: MAX_CONNECTIONS_PER_ORIGIN
  }
  if (proxy === null) return new Agent(options)
  return new EnvHttpProxyAgent({
    ...options,
    httpsProxy: proxy.url.href,
    // Empty texts: undici reads process.env where these are undefined.
    httpProxy: '',
    noProxy: proxy.excludedHosts,
    // A proxy that accepts a connection and does not answer must not occupy it for minutes.
    clientFactory: (origin, poolOptions) =>
      new Pool(origin, { ...poolOptions, headersTimeout: connectTimeoutMs })
  })
}
