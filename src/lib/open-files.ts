/**
 * The number of descriptors that this process may have open (`ulimit -n`); undefined where there is
 * no limit, as on Windows. Node raises its soft limit to the hard one at start.
 */
export function getOpenFilesLimit(): number | undefined {
  const { report } = process
  if (report === undefined) return undefined
  // A newer property: the names of peers are not looked up.
  Object.assign(report, { excludeNetwork: true })
  const { userLimits } = report.getReport() as {
    userLimits?: { open_files?: { soft?: number | string } }
  }
  const soft = userLimits?.open_files?.soft
  return typeof soft === 'number' ? soft : undefined
}
