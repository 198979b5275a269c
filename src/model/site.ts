/** One site of a grant, as accessible-resources names it. `url` is what people open, never the gateway. */
export interface Site {
  cloudId: string
  name: string
  url: string
}
