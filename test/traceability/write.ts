import { writeFileSync } from 'node:fs'
import { securityDocument } from './document.ts'
import { PROMISES, THREATS } from './rows.ts'
import { proofs } from './titles.ts'

// `npm run docs:security`
writeFileSync(
  new URL('../../docs/security.md', import.meta.url),
  securityDocument(THREATS, PROMISES, proofs())
)
