import type { ResolvedSettings } from './aliases.ts'

/** Whether a flag is set to `true` or `1`, in any case. */
export function isTrue(flag: string | undefined): boolean {
  return /^(true|1)$/i.test(flag ?? '')
}

export function isProduction({ APP_ENV, DEV_MODE }: ResolvedSettings['values']): boolean {
  return APP_ENV === 'production' && !isTrue(DEV_MODE)
}
