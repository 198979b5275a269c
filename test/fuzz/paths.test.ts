import type { AddressInfo } from 'node:net'
import t from 'tap'
import { Client } from 'undici'
import { formatOperation, listOperations } from './operations.ts'
import { startFuzzedService } from './service.ts'

/**
 * Other spellings of a path that are not equivalent under RFC 3986 section 6.2.2; a client sends
 * them as they are. A trailing slash is equivalent on purpose: the original service answers
 * both.
 */
const PATH_VARIANTS: Record<string, (path: string) => string> = {
  'capital letters': (path) => path.toUpperCase(),
  'one capital letter': (path) => path.replace(/[a-z]/, (letter) => letter.toUpperCase()),
  'two slashes in front': (path) => `/${path}`,
  'two slashes in the last place': (path) => path.replace(/(?<=.)\/(?=[^/]*$)/, '//'),
  'an encoded slash': (path) => path.replace(/(?<=.)\/(?=[^/]*$)/, '%2f'),
  'a slash encoded twice': (path) => path.replace(/(?<=.)\/(?=[^/]*$)/, '%252F'),
  'an encoded backslash': (path) => path.replace(/(?<=.)\/(?=[^/]*$)/, '%5c'),
  'an encoded slash at the end': (path) => `${path}%2F`,
  'a dot': (path) => `/.${path}`,
  'an encoded dot': (path) => `/%2e${path}`,
  'a dot at the end': (path) => `${path}/.`,
  'up and down again': (path) => `/x/..${path}`,
  'up and down again, encoded': (path) => `/x/%2e%2e${path}`,
  'an extra segment and up': (path) => `${path}/x/..`,
  'a parameter of the path': (path) => `${path};x=y`,
  'an extension': (path) => `${path}.json`,
  'a blank at the end': (path) => `${path}%20`,
  'a NUL at the end': (path) => `${path}%00`,
  'a line break at the end': (path) => `${path}%0a`,
  'an encoded question mark': (path) => `${path}%3F`,
  'an encoded hash': (path) => `${path}%23`,
  'full-width letters': (path) =>
    path.replace(/[a-z](?=[^/]*$)/, (letter) =>
      encodeURIComponent(String.fromCodePoint(Number(letter.codePointAt(0)) + 0xfee0))
    ),
  'a slash in an overlong UTF-8 encoding': (path) => path.replace(/(?<=.)\/(?=[^/]*$)/, '%c0%af')
}

t.test(
  `C4 Each route has one address: ${Object.keys(PATH_VARIANTS).length} other spellings match no route`,
  async (t) => {
    const { app, fillPlaceholders } = await startFuzzedService(t, 'public')
    await app.listen({ host: '127.0.0.1', port: 0 })
    const client = new Client(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`)
    t.teardown(() => client.close())
    const problems: string[] = []
    let count = 0
    const routes = (await listOperations(app)).filter(
      ({ method, path }) => method === 'GET' && path !== '/'
    )
    for (const operation of routes) {
      const path = fillPlaceholders(
        operation.path.replace(/\{(id)\}/g, '{run}').replace(/\{(user_id|owner_id)\}/g, '{user}')
      ).replace(/\{\w+\}/g, '1')
      for (const [variant, rewrite] of Object.entries(PATH_VARIANTS)) {
        if (rewrite(path) === path) continue
        const { statusCode, body } = await client.request({ method: 'GET', path: rewrite(path) })
        const { code } = JSON.parse(
          await body.text().then((text) => (text.startsWith('{') ? text : '{}'))
        ) as { code?: string }
        count++
        // If the last segment is an id, the route matches and the id is invalid.
        if (
          !['404 not_found', '400 bad_request', '422 validation_failed'].includes(
            `${statusCode} ${code}`
          )
        ) {
          problems.push(
            `${formatOperation(operation)}, ${variant}: ${rewrite(path)} is ${statusCode} ${code}`
          )
        }
      }
    }
    t.same(problems, [])
    t.ok(routes.length > 20, `${count} addresses of ${routes.length} routes`)
  }
)
