/** One row of a chart: a bar for each series, and a mark at the target. */
export interface ChartRow {
  label: string
  /** Ratios, in the order of the series; undefined: not measured. */
  bars: Array<number | undefined>
  target?: number | undefined
}

const LABEL_WIDTH = 320
const PLOT_WIDTH = 400
const VALUE_WIDTH = 60
const BAR_HEIGHT = 12
const ROW_GAP = 10
const HEADER_HEIGHT = 56
const COLORS = ['#9aa5b1', '#1f6feb']
const TEXT = 'font-family="sans-serif" font-size="12"'

/** Draws ratios as horizontal bars, on a white ground, so that they can be read in any theme. */
export function drawChart(
  title: string,
  series: readonly string[],
  rows: readonly ChartRow[]
): string {
  const rowHeight = series.length * BAR_HEIGHT + ROW_GAP
  const width = LABEL_WIDTH + PLOT_WIDTH + VALUE_WIDTH
  const height = HEADER_HEIGHT + rows.length * rowHeight + ROW_GAP
  const values = rows
    .flatMap(({ bars, target }) => [...bars, target])
    .filter((v) => v !== undefined)
  const scale = PLOT_WIDTH / Math.max(1, ...values)
  const toX = (value: number) => (LABEL_WIDTH + value * scale).toFixed(1)
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" role="img">`,
    `<title>${escape(title)}</title>`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    `<text x="12" y="20" ${TEXT} font-weight="bold">${escape(title)}</text>`,
    ...series.flatMap((name, i) => [
      `<rect x="${12 + i * 160}" y="31" width="12" height="12" fill="${getColor(i)}"/>`,
      `<text x="${30 + i * 160}" y="41" ${TEXT}>${escape(name)}</text>`
    ]),
    `<rect x="${12 + series.length * 160}" y="31" width="2" height="12" fill="#d1242f"/>`,
    `<text x="${20 + series.length * 160}" y="41" ${TEXT}>target</text>`
  ]
  for (const [i, { label, bars, target }] of rows.entries()) {
    const y = HEADER_HEIGHT + i * rowHeight
    const middle = y + (series.length * BAR_HEIGHT) / 2 + 4
    lines.push(
      `<text x="${LABEL_WIDTH - 8}" y="${middle}" ${TEXT} text-anchor="end">${escape(label)}</text>`
    )
    for (const [n, value] of bars.entries()) {
      if (value === undefined) continue
      const top = y + n * BAR_HEIGHT
      lines.push(
        `<rect x="${LABEL_WIDTH}" y="${top}" width="${(value * scale).toFixed(1)}" ` +
          `height="${BAR_HEIGHT - 2}" fill="${getColor(n)}"/>`,
        `<text x="${toX(value + 4 / scale)}" y="${top + 9}" font-family="sans-serif" ` +
          `font-size="10">${(value * 100).toFixed(0)} %</text>`
      )
    }
    if (target !== undefined) {
      lines.push(
        `<rect x="${toX(target)}" y="${y - 2}" width="2" ` +
          `height="${series.length * BAR_HEIGHT + 2}" fill="#d1242f"/>`
      )
    }
  }
  return `${[...lines, '</svg>'].join('\n')}\n`
}

function getColor(series: number): string {
  return COLORS[series % COLORS.length] ?? ''
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
