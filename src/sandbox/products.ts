import { confluence } from './confluence/product.ts'
import { jira } from './jira/product.ts'
import type { SandboxProduct } from './state.ts'

/** The products of a site, unless `createSandboxState` is given others. */
export const defaultProducts: readonly SandboxProduct[] = [jira, confluence]
