import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect } from 'node:net'
import { hostname } from 'node:os'
import { connect as connectTls } from 'node:tls'
import { AppError } from '../lib/errors.ts'
import type { HttpClient, Logger } from '../lib/http-client.ts'
import type { Anchor } from '../store/audit-chain.ts'

/** Sends an anchor to the receiver; rejects if the receiver did not take it. */
export type SendAnchor = (anchor: Anchor) => Promise<void>

export interface AnchorReceiver {
  /** `https:` (or `http:` on loopback), `syslog+tls:`, `syslog+tcp:` or `syslog+udp:`. */
  url: URL
  /** Bearer token for HTTP. */
  token: string | null
}

export const SEND_TIMEOUT_MS = 5_000
const DEFAULT_SYSLOG_PORTS: Record<string, number> = { 'syslog+tls:': 6514 }
const SYSLOG_PORT = 514
/** Facility 13, log audit, and severity 6, informational (RFC 5424 section 6.2.1). */
const SYSLOG_PRIORITY = 13 * 8 + 6

/** Creates the function that sends to one receiver. */
export function createAnchorSender(
  { url, token }: AnchorReceiver,
  { http, log, now }: { http: HttpClient; log: Logger; now: () => number }
): SendAnchor {
  return url.protocol.startsWith('syslog') ? sendSyslog : sendHttp

  async function sendHttp({ count, hash }: Anchor): Promise<void> {
    const { status } = await http({
      method: 'POST',
      url: url.href,
      headers: token === null ? {} : { authorization: `Bearer ${token}` },
      json: { count, hash, at: new Date(now()).toISOString() },
      log,
      timeoutMs: SEND_TIMEOUT_MS
    })
    if (status < 200 || status > 299) {
      throw new AppError('upstream_refused', `The receiver answered with status ${status}.`)
    }
  }

  async function sendSyslog({ count, hash }: Anchor): Promise<void> {
    const at = new Date(now()).toISOString()
    const message =
      `<${SYSLOG_PRIORITY}>1 ${at} ${hostname()} connector ${process.pid} audit_anchor - ` +
      JSON.stringify({ count, hash })
    const host = url.hostname.replace(/^\[|\]$/g, '')
    const port = Number(url.port || (DEFAULT_SYSLOG_PORTS[url.protocol] ?? SYSLOG_PORT))
    if (url.protocol === 'syslog+udp:') return await sendDatagram(host, port, message)
    const socket =
      url.protocol === 'syslog+tls:'
        ? connectTls({ host, port, servername: host })
        : connect({ host, port })
    const signal = AbortSignal.timeout(SEND_TIMEOUT_MS)
    try {
      await once(socket, url.protocol === 'syslog+tls:' ? 'secureConnect' : 'connect', { signal })
      // Octet counting (RFC 6587 section 3.4.1, RFC 5425 section 4.3).
      socket.end(`${Buffer.byteLength(message)} ${message}`)
      await once(socket, 'finish', { signal })
    } finally {
      socket.on('error', () => {})
      socket.destroySoon()
    }
  }
}

async function sendDatagram(host: string, port: number, message: string): Promise<void> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.send(message, port, host, (error) => {
        if (error === null) resolve()
        else reject(error)
      })
    })
  } finally {
    socket.close()
  }
}
