/** The later of the watermark and a modification time in ms; null: nothing was seen yet. */
export function advanceWatermark(watermark: Date | null, at: number | null): Date | null {
  return at === null || (watermark !== null && watermark.getTime() >= at) ? watermark : new Date(at)
}
