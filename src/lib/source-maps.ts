import { readFileSync } from 'node:fs'
import { SourceMap } from 'node:module'
import { fileURLToPath } from 'node:url'

/**
 * Makes the stack traces of a build name lines of the source. Node's own option reads the map of each
 * file that it loads; this reads one when a trace first names its file.
 */
export function nameSourcesInStacks(): void {
  const maps = new Map<string, SourceMap | undefined>()
  const getMap = (url: string): SourceMap | undefined => {
    if (!maps.has(url)) maps.set(url, readMap(url))
    return maps.get(url)
  }
  Error.prepareStackTrace = (error, frames) =>
    [describeError(error), ...frames.map((frame) => describeFrame(frame, getMap))].join('\n    at ')
}

/** The first line of a stack trace, as Node writes it. */
function describeError(error: Error & { code?: unknown }): string {
  try {
    const { name, code, message } = error
    return typeof code === 'string' && code.startsWith('ERR_')
      ? `${name} [${code}]: ${message}`
      : Error.prototype.toString.call(error)
  } catch {
    return 'Error'
  }
}

function describeFrame(
  frame: NodeJS.CallSite,
  getMap: (url: string) => SourceMap | undefined
): string {
  const text = String(frame)
  const url = frame.getFileName()
  const [line, column] = [frame.getLineNumber(), frame.getColumnNumber()]
  if (url?.startsWith('file:') !== true || line === null || column === null) return text
  const origin = getMap(url)?.findEntry(line - 1, column - 1)
  if (origin === undefined || !('originalSource' in origin)) return text
  const { originalSource, originalLine, originalColumn } = origin
  const source = fileURLToPath(new URL(originalSource, url))
  return text.replace(
    `${url}:${line}:${column}`,
    `${source}:${originalLine + 1}:${originalColumn + 1}`
  )
}

function readMap(url: string): SourceMap | undefined {
  try {
    return new SourceMap(
      JSON.parse(readFileSync(fileURLToPath(`${url}.map`), 'utf8')) as ConstructorParameters<
        typeof SourceMap
      >[0]
    )
  } catch {
    // The chunk of a package: it has none.
    return undefined
  }
}
