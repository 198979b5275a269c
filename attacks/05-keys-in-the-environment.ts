import { randomBytes } from 'node:crypto'
import type { Attack } from './attack.ts'
import { startAttackedService } from './service.ts'

/** A package in the process, or a diagnostic report, reads the environment. */
export const attack: Attack = {
  name: 'read the vault keys from process.env of the running service',
  item: 5,
  run: async ({ root }) => {
    const spy = `process.on('SIGUSR2', () =>
      console.log('HAS_KEYS ' + (process.env.VAULT_KEYS !== undefined) + ' END'))`
    const service = await startAttackedService(root, {
      VAULT_KEYS: `k1:${randomBytes(32).toString('base64')}`,
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(spy)}`
    })
    try {
      process.kill(service.pid, 'SIGUSR2')
      let found: RegExpExecArray | null = null
      while (found === null) {
        await new Promise((resolve) => setTimeout(resolve, 50))
        found = /HAS_KEYS (\w+) END/.exec(service.readLog())
      }
      const reached = found[1] === 'true'
      return { reached, evidence: `VAULT_KEYS is ${reached ? 'there' : 'gone'} after the start` }
    } finally {
      await service.stop()
    }
  }
}
