import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { resolveNextPage } from '../network.ts'

const LIST_PATHS = ['/jira/projects', '/jira/issues', '/confluence/spaces', '/confluence/pages']

interface ChangesPage {
  changes: Array<{ collection: string; op: 'upsert' | 'delete'; id: number; item: object | null }>
  next: string
  more: boolean
}

/** A downstream copy of an owner's items that reads only the change feed. */
export class FeedFollower {
  /** Keyed by collection and id. */
  readonly items = new Map<string, object>()
  /** How often the feed was read from the start again. */
  restarts = 0
  since: string | undefined
  readonly #app: FastifyInstance
  readonly #owner: number
  readonly #query: string

  /** @param extraQuery additional query parameters, such as `collections=pages` */
  constructor(app: FastifyInstance, owner: number, limit = 500, extraQuery = '') {
    this.#app = app
    this.#owner = owner
    this.#query = `limit=${limit}${extraQuery === '' ? '' : `&${extraQuery}`}`
  }

  /** Reads until there are no more changes. */
  async catchUp(): Promise<void> {
    let [more, hasNews] = [true, true]
    while (more || hasNews) {
      const page = await this.readPage()
      more = page.more
      hasNews = page.changes.length > 0
    }
  }

  /** Reads and applies one response. */
  async readPage(extraQuery = ''): Promise<ChangesPage> {
    const from = this.since === undefined ? '' : `&since=${this.since}`
    const answer = await this.#app.inject(
      `/users/${this.#owner}/changes?${this.#query}${from}${extraQuery}`
    )
    if (answer.statusCode === 410) {
      this.items.clear()
      this.restarts++
      this.since = answer.json().cursor
      return { changes: [], next: this.since ?? '', more: true }
    }
    const page = parseOkBody<ChangesPage>(answer)
    for (const { collection, op, id, item } of page.changes) {
      if (op === 'delete') this.items.delete(`${collection}/${id}`)
      else this.items.set(`${collection}/${id}`, item as object)
    }
    this.since = page.next
    return page
  }
}

/** The items in an owner's lists, read page by page, keyed by collection and id. */
export async function readLists(app: FastifyInstance, owner: number): Promise<Map<string, object>> {
  const items = new Map<string, object>()
  for (const list of LIST_PATHS) {
    const collection = list.split('/')[2]
    for (let url: string | undefined = `${list}/${owner}?limit=1000`; url !== undefined;) {
      const answer: LightMyRequestResponse = await app.inject(url)
      for (const item of parseOkBody<Array<{ id: number }>>(answer)) {
        items.set(`${collection}/${item.id}`, item)
      }
      url = resolveNextPage(url, answer.headers.link)
    }
  }
  return items
}

function parseOkBody<Body>(answer: LightMyRequestResponse): Body {
  if (answer.statusCode !== 200) throw new Error(`${answer.statusCode} ${answer.body}`)
  return answer.json()
}
