import fp from 'fastify-plugin'
import { createAnchorShipper, createNotShippedError } from '../src/audit/anchor-shipper.ts'
import { createAnchorSender } from '../src/audit/send-anchor.ts'
import type { PluginOptions } from '../src/app-options.ts'

const SAFE_METHODS = ['GET', 'HEAD', 'OPTIONS']

/**
 * Sends the end of the audit trail to AUDIT_ANCHOR_URL after each change. With
 * AUDIT_ANCHOR_BLOCKING, a request that changed something is answered after the receiver has taken
 * it, and while the receiver does not respond, changes are refused. Background work is never
 * blocked: a refresh that is not saved costs the consent.
 */
export default fp<PluginOptions>(
  async (app, { now }) => {
    const { config, store, httpClient, log } = app
    if (config.auditAnchor === null) return
    const { isBlocking, ...receiver } = config.auditAnchor
    const shipper = createAnchorShipper(
      createAnchorSender(receiver, { http: httpClient, log, now }),
      log
    )
    store.audit.observe(shipper.notify)
    app.addHook('onReady', async () => {
      const { seq: count, hash } = (await store.audit.getHead()) ?? { seq: 0, hash: '' }
      shipper.notify({ count, hash })
    })
    app.addHook('onClose', () => shipper.stop())
    if (!isBlocking) return

    app.addHook('preHandler', async ({ method, routeOptions }) => {
      const isChange = !SAFE_METHODS.includes(method) || routeOptions.url?.endsWith('/callback')
      if (isChange === true && shipper.isFailing()) throw createNotShippedError('Nothing was done:')
    })
    app.addHook('onSend', async (request) => {
      const { auditedCount } = request
      // The answer to a failure passes here too.
      request.auditedCount = 0
      if (auditedCount > 0) await shipper.waitUntilShipped(auditedCount)
    })
  },
  { name: 'audit-anchor', dependencies: ['config', 'database', 'http-client', 'vault', 'audit'] }
)
