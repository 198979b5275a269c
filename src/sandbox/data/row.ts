/** The common members of generated items. Times are in milliseconds since the epoch. */
export interface Row {
  /** Index in the order in which the items of a collection are generated. */
  position: number
  created: number
  modified: number
  version: number
}
