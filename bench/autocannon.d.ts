/** The part of autocannon that the benchmark uses; the package brings no types. */
declare module 'autocannon' {
  export interface Request {
    method: string
    path: string
    headers?: Record<string, string>
    body?: string
  }

  export interface Options {
    url: string
    connections: number
    /** Seconds. */
    duration?: number
    /** Number of requests, instead of a duration. */
    amount?: number
    /** Milliseconds between two looks at the clock. */
    sampleInt?: number
    requests: Request[]
    /** Puts a fresh id wherever a request says `[<id>]`. */
    idReplacement?: boolean
  }

  export interface Result {
    errors: number
    non2xx: number
  }

  export interface Run extends PromiseLike<Result> {
    on: (
      event: 'response',
      listener: (client: object, status: number, bytes: number, ms: number) => void
    ) => this
  }

  export default function autocannon(options: Options): Run
}
