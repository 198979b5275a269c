import type { LightMyRequestResponse } from 'fastify'
import { answerConsentPage, type Browser, type Product } from '../helper.ts'

/**
 * Opens the link of a connect session and presses the button of a product on its page.
 * @returns the redirect to Atlassian, or what the service says instead
 */
export async function startFromLink(
  browser: Browser,
  link: string,
  product: Product = 'jira'
): Promise<LightMyRequestResponse> {
  return await browser.submit(link, { product })
}

/** Opens the link of a connect session and completes the login; returns the answer to the callback. */
export async function connectFromLink(
  browser: Browser,
  link: string,
  { product = 'jira' as Product, extra = '' } = {}
): Promise<LightMyRequestResponse> {
  const login = await startFromLink(browser, link, product)
  if (login.headers.location === undefined) throw new Error(`${login.statusCode} ${login.body}`)
  return await browser.open(await answerConsentPage(login.headers.location, 'accept', extra))
}
