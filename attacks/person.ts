import { SignJWT, type JWTPayload } from 'jose'
import { requireMeans, type Target } from './attack.ts'
import { AUDIENCE, ISSUER } from './service.ts'

/** The headers of a person whose identity provider vouches for this address. */
export async function signIn(
  { jwtKey }: Pick<Target, 'jwtKey'>,
  email: string,
  claims: JWTPayload = {},
  header: object = {}
): Promise<{ authorization: string }> {
  const seconds = Math.floor(Date.now() / 1000)
  const token = await new SignJWT({
    iss: ISSUER,
    aud: AUDIENCE,
    sub: email,
    email,
    email_verified: true,
    iat: seconds,
    exp: seconds + 300,
    ...claims
  })
    .setProtectedHeader({ alg: 'ES256', ...header })
    .sign(requireMeans(jwtKey, 'the key that signs tokens (ATTACK_JWT_KEY_FILE)'))
  return { authorization: `Bearer ${token}` }
}

/** The headers of a back end with a service key. */
export function useKey({ apiKey }: Pick<Target, 'apiKey'>): { authorization: string } {
  return { authorization: `Bearer ${requireMeans(apiKey, 'a service key (ATTACK_KEY)')}` }
}

/** Somebody's browser: it keeps cookies and follows redirects only on request. */
export class Visitor {
  readonly baseUrl: string
  readonly cookies = new Map<string, string>()

  constructor({ baseUrl }: Pick<Target, 'baseUrl'>) {
    this.baseUrl = baseUrl
  }

  async open(
    url: string,
    {
      headers = {},
      ...init
    }: Omit<RequestInit, 'headers'> & { headers?: Record<string, string> } = {}
  ): Promise<Response> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const response = await fetch(this.resolve(url), {
      redirect: 'manual',
      ...init,
      headers: { accept: 'text/html', ...(cookie === '' ? {} : { cookie }), ...headers }
    })
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      if (value === '' || /max-age=0/i.test(line)) this.cookies.delete(name)
      else this.cookies.set(name, value)
    }
    return response
  }

  /**
   * Opens the link of a connect session as a person does, and starts a login of Jira.
   *
   * @returns Atlassian's URL
   */
  async openLink(link: string): Promise<string> {
    const page = await this.open(link)
    const form = /<form method="post" action="connect">(.*?)<\/form>/s.exec(await page.text())?.[1]
    const login =
      form === undefined
        ? // Older versions open the link at once.
          await this.open('/auth/jira/login?redirect=true')
        : await this.open('/connect', {
            method: 'POST',
            body: new URLSearchParams({ ...readHiddenFields(form), product: 'jira' })
          })
    return login.headers.get('location') ?? '/'
  }

  /** Consents at the sandbox as one of its accounts; returns the URL of the callback. */
  async consent(authorizeUrl: string, account = 'dana'): Promise<string | null> {
    const answer = await this.open(
      `${authorizeUrl}&sandbox_decision=accept&sandbox_account=${account}`
    )
    return answer.headers.get('location')
  }

  /** The service names itself localhost, and is attacked at the address that it listens on. */
  private resolve(url: string): string {
    const { pathname, search } = new URL(url, this.baseUrl)
    return this.baseUrl + pathname + search
  }
}

/** The account that a person's product is connected to; undefined if it is not connected. */
export async function findConnectedAccount(
  target: Target,
  userId: number,
  product = 'jira'
): Promise<string | undefined> {
  const answer = await fetch(`${target.baseUrl}/users/${userId}/connections`, {
    headers: useKey(target)
  })
  const { connections } = (await answer.json()) as {
    connections: Array<{ product: string; account_id: string }>
  }
  return connections.find((each) => each.product === product)?.account_id
}

/** The id of a user with this address, who is created if there is none. */
export async function createUser(target: Target, email: string): Promise<number> {
  const answer = await fetch(`${target.baseUrl}/users`, {
    method: 'POST',
    headers: { ...useKey(target), 'content-type': 'application/json' },
    body: JSON.stringify({ email })
  })
  return ((await answer.json()) as { id: number }).id
}

/** A connect session of a user. */
export async function createSession(
  target: Target,
  user: number
): Promise<{ user: number; token: string; url: string }> {
  const answer = await fetch(`${target.baseUrl}/connect-sessions`, {
    method: 'POST',
    headers: { ...useKey(target), 'content-type': 'application/json' },
    body: JSON.stringify({ user, products: ['jira'] })
  })
  return { user, ...((await answer.json()) as { token: string; url: string }) }
}

function readHiddenFields(form: string): Record<string, string> {
  const fields = form.matchAll(/<input type="hidden" name="(\w+)" value="([^"]*)">/g)
  return Object.fromEntries([...fields].map(([, name = '', value = '']) => [name, value]))
}
