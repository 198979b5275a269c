import { readFileSync } from 'node:fs'
import { createBillOfMaterials } from './bill-of-materials.ts'

// `npm run -s sbom > sbom.cdx.json`
const json = (path: string) =>
  JSON.parse(readFileSync(new URL(`../${path}`, import.meta.url), 'utf8'))
process.stdout.write(
  JSON.stringify(createBillOfMaterials(json('package.json'), json('package-lock.json')), null, 2) +
    '\n'
)
