#!/usr/bin/env node
// Runs the build, or the source where there is none. Old Nodes can read this file, as src/main.js.
import { existsSync } from 'node:fs'

const isBuilt = existsSync(new URL('../dist/main.js', import.meta.url))
if (!isBuilt) console.error('dist/ is missing: running the source, which starts more slowly.')
await import(isBuilt ? '../dist/main.js' : '../src/main.js')
