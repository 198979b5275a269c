import { spawn } from 'node:child_process'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Target } from './attack.ts'

export const ISSUER = 'https://id.example.com/'
export const AUDIENCE = 'connector'
const START_TIMEOUT_MS = 60_000

/** A service that was started for attacks. */
export interface AttackedService {
  target: Target
  pid: number
  /** The folder with its database and keys. */
  folder: string
  /** Everything that it has logged. */
  readLog: () => string
  stop: () => Promise<void>
}

/**
 * Starts the service of a checkout in a temporary folder: protected, with a service key, people's tokens
 * and the built-in sandbox in place of Atlassian.
 *
 * @param env further settings; an empty value removes one
 */
export async function startAttackedService(
  root: string,
  env: NodeJS.ProcessEnv = {}
): Promise<AttackedService> {
  const folder = mkdtempSync(join(tmpdir(), 'attacked-'))
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const apiKey = `ck_${randomBytes(32).toString('hex')}`
  const databaseUrl = `sqlite:///${join(folder, 'integration.db')}`
  const child = spawn(process.execPath, [join(root, 'bin/connector.js')], {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      HOME: folder,
      HOST: '127.0.0.1',
      PORT: '0',
      APP_ENV: 'development',
      API_ACCESS: 'protected',
      BOOTSTRAP_API_KEY: apiKey,
      JWT_ISSUER: ISSUER,
      JWT_AUDIENCE: AUDIENCE,
      JWT_PUBLIC_KEY: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
      INTEGRATION_DB_URL: databaseUrl,
      ...env
    },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  const exited = once(child, 'exit')
  let log = ''
  const baseUrl = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
    }, START_TIMEOUT_MS)
    const collect = (chunk: Buffer) => {
      log += chunk.toString()
      const address = /Server listening at (http:[^"\s]+)/.exec(log)?.[1]
      if (address === undefined) return
      clearTimeout(timer)
      resolve(address)
    }
    child.stdout.on('data', collect)
    child.stderr.on('data', collect)
    child.once('exit', (code) => {
      clearTimeout(timer)
      reject(new Error(`The service ended with ${code}: ${log.slice(-2_000)}`))
    })
  })
  return {
    target: { baseUrl, root, apiKey, jwtKey: privateKey, databaseUrl },
    pid: child.pid ?? 0,
    folder,
    readLog: () => log,
    stop: async () => {
      child.kill('SIGKILL')
      await exited
      rmSync(folder, { recursive: true, force: true })
    }
  }
}
