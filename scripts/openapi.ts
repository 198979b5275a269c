import { writeFileSync } from 'node:fs'
import { buildInMemoryApp } from './in-memory-app.ts'

// The document depends on no setting and no data: `npm run openapi` writes the same each time.
const app = await buildInMemoryApp()
writeFileSync('openapi.json', `${JSON.stringify(app.swagger(), null, 2)}\n`)
await app.close()
