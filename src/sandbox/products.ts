import { confluence } from './confluence/product.ts'
import { jira } from './jira/product.ts'
import type { SandboxProduct } from './state.ts'

/** The products that sites have unless `createSandboxState` is told others. */
export const defaultProducts: readonly SandboxProduct[] = [jira, confluence]
