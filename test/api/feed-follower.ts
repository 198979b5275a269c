import type { FastifyInstance, LightMyRequestResponse } from 'fastify'

const LISTS = ['/jira/projects', '/jira/issues', '/confluence/spaces', '/confluence/pages']

interface Changes {
  changes: Array<{ collection: string; op: 'upsert' | 'delete'; id: number; item: object | null }>
  next: string
  more: boolean
}

/** A downstream copy of an owner's items that knows nothing but the change feed. */
export class Mirror {
  /** By collection and id. */
  readonly items = new Map<string, object>()
  /** How often it had to begin again. */
  restarts = 0
  since: string | undefined
  readonly #app: FastifyInstance
  readonly #owner: number
  readonly #query: string

  /** @param also more of the query, `collections=pages` for one */
  constructor(app: FastifyInstance, owner: number, limit = 500, also = '') {
    this.#app = app
    this.#owner = owner
    this.#query = `limit=${limit}${also === '' ? '' : `&${also}`}`
  }

  /** Reads until there is no more and nothing new. */
  async follow(): Promise<void> {
    let [more, news] = [true, true]
    while (more || news) {
      const page = await this.step()
      more = page.more
      news = page.changes.length > 0
    }
  }

  /** Reads and applies one answer. */
  async step(also = ''): Promise<Changes> {
    const from = this.since === undefined ? '' : `&since=${this.since}`
    const answer = await this.#app.inject(
      `/users/${this.#owner}/changes?${this.#query}${from}${also}`
    )
    if (answer.statusCode === 410) {
      this.items.clear()
      this.restarts++
      this.since = answer.json().cursor
      return { changes: [], next: this.since ?? '', more: true }
    }
    const page = read<Changes>(answer)
    for (const { collection, op, id, item } of page.changes) {
      if (op === 'delete') this.items.delete(`${collection}/${id}`)
      else this.items.set(`${collection}/${id}`, item as object)
    }
    this.since = page.next
    return page
  }
}

/** What an owner's lists serve, each read page by page, by collection and id. */
export async function tables(app: FastifyInstance, owner: number): Promise<Map<string, object>> {
  const items = new Map<string, object>()
  for (const list of LISTS) {
    const collection = list.split('/')[2]
    for (let url: string | undefined = `${list}/${owner}?limit=1000`; url !== undefined;) {
      const answer: LightMyRequestResponse = await app.inject(url)
      for (const item of read<Array<{ id: number }>>(answer)) {
        items.set(`${collection}/${item.id}`, item)
      }
      url = /^<([^>]+)>; rel="next"$/.exec(String(answer.headers.link))?.[1]
    }
  }
  return items
}

function read<Body>(answer: LightMyRequestResponse): Body {
  if (answer.statusCode !== 200) throw new Error(`${answer.statusCode} ${answer.body}`)
  return answer.json()
}
