import { loadSettings } from '../../src/config/load.ts'
import { StartError } from '../../src/lib/errors.ts'
import { VAULT_KEY } from '../helper.ts'

export const PRODUCTION_ENV = {
  APP_ENV: 'production',
  VAULT_KEYS: VAULT_KEY,
  INTEGRATION_DB_URL: 'sqlite::memory:'
}

/** The problems of a production start with these settings, or its warnings. */
export async function judgeStart(
  env: NodeJS.ProcessEnv
): Promise<{ problems: string[]; warnings: string[] }> {
  try {
    const { config } = await loadSettings({ ...PRODUCTION_ENV, ...env })
    return { problems: [], warnings: config.warnings }
  } catch (error) {
    if (error instanceof StartError) return { problems: error.problems, warnings: [] }
    throw error
  }
}
