import { renderPage } from '../../src/http/html.ts'
import { providers } from '../../src/providers/index.ts'

/** Lets the browser choose a product. Links are relative, so they work under any prefix. */
export function renderProductPage(products: readonly string[]): string {
  const links = providers
    .filter(({ id }) => products.includes(id))
    .map(({ id, title }) => `<li><a href="auth/${id}/login?redirect=true">${title}</a></li>`)
  return renderPage('Connect your account', `<ul class="choices">${links.join('')}</ul>`)
}

/** Says that the link no longer works. */
export function renderExpiredPage(message: string): string {
  return renderPage('Link expired', `<p>${message}</p>`)
}
