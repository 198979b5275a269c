/** What the parts of a run have cost so far; updated in place. */
export interface RunSpending {
  /** The current part is a full listing: its calls give way to those of other syncs. */
  isBulk: boolean
  /** Points of listings of projects or spaces, and of reading changes; null if there were none. */
  listing: number | null
  routine: number | null
  hasFullPart: boolean
}

export const createSpending = (): RunSpending => ({
  isBulk: false,
  listing: null,
  routine: null,
  hasFullPart: false
})
