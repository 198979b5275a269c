import { writeFileSync } from 'node:fs'
import { buildInMemoryApp } from './in-memory-app.ts'

// The document depends on no setting and no data: `npm run openapi` writes the same each time.
// One space of indentation: lines stay comparable, and a fifth of the file is saved.
const app = await buildInMemoryApp()
writeFileSync('openapi.json', `${JSON.stringify(app.swagger(), null, 1)}\n`)
await app.close()
