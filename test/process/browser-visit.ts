import { request, type Dispatcher } from 'undici'

/** A browser like `curl -L` with a cookie jar: follows redirects and keeps cookies by host name. */
export class HttpBrowser {
  readonly dispatcher: Dispatcher | undefined
  readonly jar = new Map<string, Map<string, string>>()

  constructor(dispatcher?: Dispatcher) {
    this.dispatcher = dispatcher
  }

  /** Opens a page and sends its first form, with these fields beside the hidden ones. */
  async submit(address: string, fields: Record<string, string> = {}) {
    const page = await this.open(address)
    const [, action = '', form = ''] =
      /<form method="post" action="([^"]*)">(.*?)<\/form>/s.exec(page.body) ?? []
    const hidden = [...form.matchAll(/<input type="hidden" name="(\w+)" value="([^"]*)">/g)]
    return await this.open(
      new URL(action, page.url).href,
      new URLSearchParams({
        ...Object.fromEntries(hidden.map(([, name, value]) => [name, value])),
        ...fields
      })
    )
  }

  /** Opens a URL, or sends a form to it, and follows redirects. */
  async open(
    address: string,
    form?: URLSearchParams
  ): Promise<{ url: string; status: number; body: string; hops: string[] }> {
    const hops: string[] = []
    let url = address
    while (hops.length < 10) {
      hops.push(url)
      const { hostname, protocol } = new URL(url)
      const cookies = [...(this.jar.get(hostname) ?? [])].map(([name, value]) => `${name}=${value}`)
      const response = await request(url, {
        ...(this.dispatcher === undefined ? {} : { dispatcher: this.dispatcher }),
        headers: {
          accept: 'text/html',
          cookie: cookies.join('; '),
          ...(form === undefined || hops.length > 1
            ? {}
            : { 'content-type': 'application/x-www-form-urlencoded' })
        },
        ...(form === undefined || hops.length > 1 ? {} : { method: 'POST', body: form.toString() })
      })
      this.storeCookies(hostname, protocol, [response.headers['set-cookie'] ?? []].flat())
      const body = await response.body.text()
      const { location } = response.headers
      if (typeof location !== 'string' || response.statusCode < 300 || response.statusCode > 399) {
        return { url, status: response.statusCode, body, hops }
      }
      url = new URL(location, url).href
    }
    throw new Error(`Too many redirects: ${hops.join(' → ')}`)
  }

  private storeCookies(hostname: string, protocol: string, cookies: string[]): void {
    const hostCookies = this.jar.get(hostname) ?? new Map<string, string>()
    this.jar.set(hostname, hostCookies)
    for (const cookie of cookies) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []
      if (/; secure/i.test(cookie) && protocol !== 'https:') continue
      if (name.startsWith('__Host-') && !/; path=\/(;|$)/i.test(cookie)) continue
      if (value === '' || /max-age=0/i.test(cookie)) hostCookies.delete(name)
      else hostCookies.set(name, value)
    }
  }

  /** Connects a product and accepts through the link on the consent page. */
  async connect(
    base: string,
    product: string,
    query = ''
  ): Promise<{ url: string; status: number; body: string; hops: string[] }> {
    const consent = await this.open(`${base}/auth/${product}/login?redirect=true${query}`)
    const accept = /href="([^"]*sandbox_decision=accept[^"]*)"/
      .exec(consent.body)?.[1]
      ?.replaceAll('&amp;', '&')
    if (accept === undefined) {
      throw new Error(
        `No consent page at ${consent.url}: ${consent.status} ${consent.body.slice(0, 300)}`
      )
    }
    return await this.open(new URL(accept, consent.url).href)
  }
}
