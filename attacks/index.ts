import { createPrivateKey } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AttackSkipped, type Attack, type Target } from './attack.ts'
import { startAttackedService } from './service.ts'

/**
 * Runs every attack of this folder: `npm run attacks -- <base URL>`, or without a URL against a service
 * that it starts. Exits with 1 if one reached its aim or could not be run. docs/attacks.md describes
 * the environment variables.
 */
const folder = fileURLToPath(new URL('.', import.meta.url))
const { ATTACK_ROOT, ATTACK_KEY, ATTACK_JWT_KEY_FILE, ATTACK_DATABASE, ATTACK_ONLY } = process.env
const root = resolve(ATTACK_ROOT ?? resolve(folder, '..'))

async function loadAttacks(): Promise<Attack[]> {
  const files = readdirSync(folder).filter((name) => /^\d+-.*\.ts$/.test(name))
  const modules = await Promise.all(
    files
      .filter((name) => name.includes(ATTACK_ONLY ?? ''))
      .map(async (name) => (await import(`./${name}`)) as { attack: Attack })
  )
  return modules.map(({ attack }) => attack).sort((a, b) => a.item - b.item)
}

/** Prints the line of one attack; returns whether the service withstood it. */
async function runAttack({ name, item, run }: Attack, target: Target): Promise<boolean> {
  const print = (verdict: string, evidence: string) => {
    console.log(`${verdict.padEnd(12)} ${item}: ${name} (${evidence})`)
  }
  try {
    const { reached, evidence } = await run(target)
    print(reached ? 'REACHED' : 'not reached', evidence)
    return !reached
  } catch (error) {
    const isSkipped = error instanceof AttackSkipped
    print(isSkipped ? 'skipped' : 'FAILED', error instanceof Error ? error.message : String(error))
    return isSkipped
  }
}

const [baseUrl] = process.argv.slice(2)
const service = baseUrl === undefined ? await startAttackedService(root) : undefined
const target: Target = service?.target ?? {
  baseUrl: (baseUrl ?? '').replace(/\/$/, ''),
  root,
  apiKey: ATTACK_KEY ?? null,
  jwtKey:
    ATTACK_JWT_KEY_FILE === undefined ? null : createPrivateKey(readFileSync(ATTACK_JWT_KEY_FILE)),
  databaseUrl: ATTACK_DATABASE ?? null
}
try {
  for (const attack of await loadAttacks()) {
    if (!(await runAttack(attack, target))) process.exitCode = 1
  }
} finally {
  await service?.stop()
}
