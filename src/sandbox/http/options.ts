import type { SandboxState } from '../state.ts'

export interface SandboxPluginOptions {
  state: SandboxState
}
