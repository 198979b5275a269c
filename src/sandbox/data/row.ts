/** The common members of generated items. Times are in milliseconds since the epoch. */
export interface Row {
  position: number
  created: number
  modified: number
  version: number
}
