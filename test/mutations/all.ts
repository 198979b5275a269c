import { ATLASSIAN_MUTATIONS } from './atlassian.ts'
import { CALLER_MUTATIONS } from './callers.ts'
import { DATABASE_MUTATIONS } from './database.ts'
import { DURABILITY_MUTATIONS } from './durability.ts'
import { EXPOSURE_MUTATIONS } from './exposure.ts'
import { FLOOD_MUTATIONS } from './floods.ts'
import { INPUT_MUTATIONS } from './input.ts'
import { KEY_MUTATIONS } from './keys.ts'
import { LOGIN_MUTATIONS } from './logins.ts'
import type { Mutation } from './mutation.ts'
import { OPERATION_MUTATIONS } from './operation.ts'
import { REPOSITORY_MUTATIONS } from './repository.ts'
import { TOKEN_MUTATIONS } from './tokens.ts'

export const MUTATIONS: readonly Mutation[] = [
  ...ATLASSIAN_MUTATIONS,
  ...CALLER_MUTATIONS,
  ...DATABASE_MUTATIONS,
  ...DURABILITY_MUTATIONS,
  ...EXPOSURE_MUTATIONS,
  ...FLOOD_MUTATIONS,
  ...INPUT_MUTATIONS,
  ...KEY_MUTATIONS,
  ...LOGIN_MUTATIONS,
  ...OPERATION_MUTATIONS,
  ...REPOSITORY_MUTATIONS,
  ...TOKEN_MUTATIONS
]
