import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { generate } from 'selfsigned'
import { findFreePort } from '../network.ts'
import { createTempFolder } from '../process/child.ts'
import type { TestContext } from '../types.ts'
import { findProgram, startProgram } from './programs.ts'

interface ProxySetup {
  settings: string
  args: (path: string, cwd: string) => string[]
  /** What turns an address with TLS into one without. */
  plain: ReadonlyArray<readonly [string | RegExp, string]>
}

/** The proxies with example configurations in docs/proxies that run here, and how each starts. */
const PROXIES = {
  nginx: {
    settings: 'nginx.conf',
    args: (path, cwd) => ['-p', cwd, '-c', path, '-e', 'stderr'],
    plain: [[/ ssl;/g, ';']]
  },
  haproxy: {
    settings: 'haproxy.cfg',
    args: (path) => ['-db', '-f', path],
    plain: [[/ ssl crt connector\.pem/g, '']]
  },
  caddy: {
    settings: 'Caddyfile',
    args: (path) => ['run', '--config', path, '--adapter', 'caddyfile'],
    plain: [
      [/^\ttls .*$/m, ''],
      [/^:(\d+) /gm, 'http://:$1 ']
    ]
  }
} satisfies Record<string, ProxySetup>
export type ProxyName = keyof typeof PROXIES

/** A running proxy. */
export interface RunningProxy {
  /** The address that forwards paths as they are. */
  url: string
  /** The address that strips `/api`. */
  strippingUrl: string
  port: number
}

const readExample = (name: string): string =>
  readFileSync(fileURLToPath(new URL(`../../docs/proxies/${name}`, import.meta.url)), 'utf8')

/**
 * Starts a real proxy with the documented configuration, except for its addresses.
 *
 * @param services base URLs of the two instances
 */
export async function startProxy(
  t: TestContext,
  proxy: ProxyName,
  services: readonly [string, string],
  { hasTls = false, port }: { hasTls?: boolean; port?: number } = {}
): Promise<RunningProxy> {
  const { settings, args, plain }: ProxySetup = PROXIES[proxy]
  const cwd = createTempFolder(t)
  const keepingPort = port ?? (await findFreePort())
  const strippingPort = await findFreePort()
  let text = readExample(settings)
  if (!hasTls) for (const [pattern, replacement] of plain) text = text.replace(pattern, replacement)
  // The order matters: a port could contain the other's digits.
  text = text
    .replace(/\b8443\b/, 'STRIPPING')
    .replace(/\b443\b/, String(keepingPort))
    .replace('STRIPPING', String(strippingPort))
    .replace('10.0.0.11:3001', new URL(services[0]).host)
    .replace('10.0.0.12:3001', new URL(services[1]).host)
  writeFileSync(join(cwd, settings), text)
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'localhost' }])
  writeFileSync(join(cwd, 'connector.pem'), proxy === 'haproxy' ? `${cert}\n${key}` : cert)
  writeFileSync(join(cwd, 'connector-key.pem'), key)
  mkdirSync(join(cwd, 'body'))
  const program = findProgram(proxy)
  program.env = { ...program.env, HOME: cwd, XDG_DATA_HOME: cwd, XDG_CONFIG_HOME: cwd }
  await startProgram(t, program, args(join(cwd, settings), cwd), {
    cwd,
    ports: [keepingPort, strippingPort]
  })
  const toUrl = (port: number) =>
    `${hasTls ? 'https' : 'http'}://${hasTls ? 'localhost' : '127.0.0.1'}:${port}`
  return { url: toUrl(keepingPort), strippingUrl: toUrl(strippingPort), port: keepingPort }
}
