/** What every generated item has. Times are milliseconds since the epoch. */
export interface Row {
  position: number
  created: number
  modified: number
  version: number
}
