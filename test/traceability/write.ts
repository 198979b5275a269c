import { writeFileSync } from 'node:fs'
import { MUTATIONS } from '../mutations/all.ts'
import { renderSecurityDocument } from './document.ts'
import { PROMISES, THREATS } from './rows.ts'
import { findProofs } from './titles.ts'

// `npm run docs:security`
writeFileSync(
  new URL('../../docs/security.md', import.meta.url),
  renderSecurityDocument(THREATS, PROMISES, findProofs(), MUTATIONS)
)
