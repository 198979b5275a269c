import t from 'tap'
import { OAUTH_CLIENTS, buildAppWithSandbox } from '../helper.ts'
import { SMALL_SANDBOX } from '../auth/helper.ts'
import { launchBrowser, collectConsoleErrors, takePicture } from './helper.ts'
import type { TestContext } from '../types.ts'

const PORT = 3001
const accountClients = OAUTH_CLIENTS.map((client) => ({ ...client, access: 'account' as const }))

/** The service without a front end, listening where its redirect URI points to. */
async function startService(t: TestContext) {
  const service = await buildAppWithSandbox(t, {
    env: { APP_FRONTEND_URL: '', SYNC_INTERVAL: '0' },
    sandbox: {
      ...SMALL_SANDBOX,
      sizes: { projects: 3, issues: 40, spaces: 1, pages: 1 },
      clients: accountClients
    }
  })
  await service.app.listen({ host: '127.0.0.1', port: PORT })
  return { ...service, base: `http://localhost:${PORT}` }
}

t.test(
  'A person chooses a site on the page after consent, and watches the copy without scripts',
  async (t) => {
    const { base, sandbox } = await startService(t)
    await sandbox.admin('faults', {
      kind: 'delay',
      delay_ms: 8_000,
      match: { path: 'search/jql' }
    })
    const page = await (await launchBrowser(t)).newPage()
    const consoleErrors = collectConsoleErrors(page)
    await page.goto(`${base}/auth/jira/login`)
    await page.getByRole('button', { name: 'Accept' }).click()
    await page.waitForURL(/connection_state=needs_site/)
    t.equal(await page.textContent('h1'), 'Choose a site for Jira')
    await takePicture(page, 'choose-site')
    await page.getByRole('checkbox', { name: /globex/ }).check()
    await page.getByRole('button', { name: 'Copy the chosen sites' }).click()
    await page.waitForURL(/choose=done/)
    t.equal(await page.textContent('h1'), 'Jira is connected')
    await page.getByText(/Copying (projects|issues)/).waitFor()
    await takePicture(page, 'copying')
    // The browser loads the page again by itself.
    await page.getByRole('heading', { name: 'Jira is connected and copied' }).waitFor()
    await takePicture(page, 'copied')
    t.match(await page.textContent('main'), /Sites: globex/)
    t.same(consoleErrors, [])

    t.test('and may change the choice later', async (t) => {
      await page.getByRole('link', { name: 'Change the sites' }).click()
      t.equal(await page.textContent('h1'), 'Which Jira sites shall be copied?')
      t.ok(await page.getByRole('checkbox', { name: /globex/ }).isChecked())
      await page.getByRole('checkbox', { name: /acme/ }).check()
      await page.getByRole('button', { name: 'Copy the chosen sites' }).click()
      await page.getByRole('heading', { name: 'Jira is connected and copied' }).waitFor()
      t.match(await page.textContent('main'), /Sites: acme, globex/)
    })

    t.test('A person without a needed scope asks for it by the button', async (t) => {
      const other = await (await launchBrowser(t)).newPage()
      await other.goto(`${base}/auth/jira/login?scope=read:jira-user&state=email%3Dsam@example.com`)
      await other.getByRole('button', { name: 'Accept' }).click()
      await other.waitForURL(/status=success/)
      await takePicture(other, 'several-sites-first')
      await other.getByRole('checkbox', { name: /acme/ }).check()
      await other.getByRole('button', { name: 'Copy the chosen sites' }).click()
      await other.waitForURL(/choose=done/)
      t.equal(await other.textContent('h1'), 'Jira is connected, but scopes are missing')
      await takePicture(other, 'scopes-missing')
      await other.getByRole('link', { name: 'Ask for the missing scopes' }).click()
      await other.getByRole('button', { name: 'Accept' }).click()
      await other.waitForURL(/connection_state=active/)
      await other.getByRole('heading', { name: 'Jira is connected and copied' }).waitFor()
    })
  }
)
