import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { collectConsoleErrors, launchBrowser, startBrowserService } from './helper.ts'

/** A proxy that forwards `/api/…` only and keeps the prefix. */
async function startPrefixProxy(t: Parameters<typeof startBrowserService>[0], target: string) {
  const server = createServer((incoming, outgoing) => {
    if (incoming.url?.startsWith('/api/') !== true) {
      outgoing.writeHead(404).end('The proxy does not pass this path on.')
      return
    }
    const { method, headers } = incoming
    incoming.pipe(
      request(target + incoming.url, { method, headers }, (response) => {
        outgoing.writeHead(response.statusCode ?? 502, response.headers)
        response.pipe(outgoing)
      })
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://localhost:${(server.address() as AddressInfo).port}`
}

t.test('"Try it out" works at /api/docs behind a proxy that keeps the prefix', async (t) => {
  const service = await startBrowserService(t)
  await fetch(`${service}/users`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email: 'ada@example.com' })
  })
  const proxy = await startPrefixProxy(t, service)
  const page = await (await launchBrowser(t)).newPage()
  const consoleErrors = collectConsoleErrors(page)
  await page.goto(`${proxy}/api/docs/#/Users/listUsers`)
  await page.getByRole('button', { name: 'Try it out' }).click()
  t.equal(await page.getByPlaceholder('cursor').inputValue(), '', 'no filter is prefilled')
  const responded = page.waitForResponse((response) => response.url().includes('/users'))
  await page.getByRole('button', { name: 'Execute' }).click()
  const response = await responded
  t.match(response.url(), `${proxy}/api/users`)
  t.equal(response.status(), 200)
  const live = page.locator('.live-responses-table')
  await live.waitFor()
  t.match(await live.textContent(), 'ada@example.com')
  t.same(consoleErrors, [])

  t.test('No list filter is prefilled', async (t) => {
    await page.goto(`${proxy}/api/docs/#/Data/listJiraIssues`)
    await page.reload()
    await page.getByRole('button', { name: 'Try it out' }).click()
    for (const name of ['cursor', 'updated_since', 'q', 'project']) {
      t.equal(await page.getByPlaceholder(name, { exact: true }).inputValue(), '', name)
    }
  })
})
