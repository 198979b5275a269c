import t from 'tap'
import { launchBrowser, collectConsoleErrors, startBrowserService } from './helper.ts'

t.test(
  'A person opens the login, accepts with the keyboard alone, and sees that Jira is connected',
  async (t) => {
    const base = await startBrowserService(t)
    const page = await (await launchBrowser(t)).newPage()
    const consoleErrors = collectConsoleErrors(page)
    // Without a redirect parameter, a page navigation is redirected.
    await page.goto(`${base}/auth/jira/login`)
    t.match(await page.title(), /Jira connector wants access/)
    t.match(await page.textContent('[role=note]'), /not the real Atlassian/)
    await page.getByRole('radio', { name: /globex/ }).focus()
    await page.keyboard.press('Space')
    await page.getByRole('button', { name: 'Accept' }).focus()
    await page.keyboard.press('Enter')
    await page.waitForURL(/status=success/)
    t.equal(await page.textContent('h1'), 'Jira is connected')
    t.equal(
      await page.evaluate('document.referrer'),
      '',
      'the address with the code is sent to no other site'
    )
    t.same(consoleErrors, [])
    await page.goto(`${base}/integrations/jira/projects/fetch`)
    t.match(await page.textContent('body'), /globex\.atlassian\.net/)
  }
)

t.test('A person cancels, sees a message, tries again and connects', async (t) => {
  const base = await startBrowserService(t)
  const page = await (await launchBrowser(t)).newPage()
  await page.goto(`${base}/api/auth/confluence/login`)
  await page.getByRole('button', { name: 'Cancel' }).click()
  await page.waitForURL(/error=access_denied/)
  t.equal(await page.textContent('h1'), 'Confluence is not connected')
  await page.getByRole('link', { name: 'Try again' }).click()
  await page.getByRole('button', { name: 'Accept' }).click()
  await page.waitForURL(/status=success/)
  t.equal(await page.textContent('h1'), 'Confluence is connected')
})

t.test(
  'A person who logs in with another account sees that nothing changed, and can confirm the change',
  async (t) => {
    const base = await startBrowserService(t)
    const page = await (await launchBrowser(t)).newPage()
    const account = async () =>
      ((await (await fetch(`${base}/users/1/connections`)).json()) as any).connections[0]
        .account_id as string
    const consoleErrors = collectConsoleErrors(page)
    await page.goto(`${base}/auth/jira/login`)
    await page.getByRole('button', { name: 'Accept' }).click()
    await page.waitForURL(/status=success/)
    const danas = await account()
    const asSam = async () => {
      await page.getByRole('radio', { name: /Sam/ }).first().check()
      await page.getByRole('button', { name: 'Accept' }).click()
    }
    await page.goto(`${base}/auth/jira/login?state=user_id%3D1`)
    await asSam()
    await page.waitForURL(/error=account_changed/)
    t.equal(await page.textContent('h1'), 'The Jira connection is unchanged')
    t.equal(await account(), danas)
    await page.getByRole('link', { name: 'Connect the other account instead' }).click()
    t.match(await page.textContent('h1'), /^Replace the Jira account of oauth-user-/)
    await page.getByRole('button', { name: 'Replace the account' }).click()
    await asSam()
    await page.waitForURL(/status=success/)
    t.not(await account(), danas)
    t.same(consoleErrors, [])
  }
)

t.test('Another browser that opens the callback address is refused', async (t) => {
  const base = await startBrowserService(t)
  const [victim, attacker] = [
    await (await launchBrowser(t)).newPage(),
    await (await launchBrowser(t)).newPage()
  ]
  await attacker.goto(`${base}/auth/jira/login`)
  const href = await attacker
    .getByRole('link', { name: /Accept as Dana/ })
    .first()
    .getAttribute('href')
  const answer = await fetch(new URL(href ?? '', attacker.url()), { redirect: 'manual' })
  await victim.goto(answer.headers.get('location') ?? '')
  t.match(victim.url(), /error=wrong_browser/)
  t.same(await (await fetch(`${base}/users`)).json(), [])
})

t.test(
  'The API page shows every operation, loads nothing from another host and has no errors',
  async (t) => {
    const base = await startBrowserService(t)
    for (const path of ['/docs', '/api/docs', '/docs/']) {
      const page = await (await launchBrowser(t)).newPage()
      const consoleErrors = collectConsoleErrors(page)
      const hosts = new Set<string>()
      page.on('request', (request) => {
        if (!request.url().startsWith('data:')) hosts.add(new URL(request.url()).origin)
      })
      await page.goto(base + path)
      await page.waitForSelector('.opblock')
      t.ok((await page.locator('.opblock').count()) >= 22)
      t.same([...hosts], [base])
      t.same(consoleErrors, [])
    }
  }
)
