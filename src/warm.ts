import { buildInMemoryApp } from '../scripts/in-memory-app.ts'

// Run once by `npm ci`: what Node compiles now it need not compile at the first start, a third of a second less.
const app = await buildInMemoryApp()
await app.close()
