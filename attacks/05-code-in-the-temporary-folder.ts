import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Attack } from './attack.ts'

/**
 * Node runs what it finds in its compile cache. In the temporary folder, another local user can create
 * that folder first, and so run code as the service.
 */
export const attack: Attack = {
  name: 'run code as the service through a compile cache in the shared temporary folder',
  item: 5,
  run: async ({ root }) => {
    const shared = mkdtempSync(join(tmpdir(), 'shared-'))
    try {
      execFileSync(process.execPath, [join(root, 'src/main.js'), '--help'], {
        env: { PATH: process.env.PATH, TMPDIR: shared },
        stdio: 'ignore'
      })
      const names = readdirSync(shared)
      return {
        reached: names.length > 0,
        evidence: names.length > 0 ? `code is read from ${names.join()}` : 'nothing is read there'
      }
    } finally {
      rmSync(shared, { recursive: true, force: true })
    }
  }
}
