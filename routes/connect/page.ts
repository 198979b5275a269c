import { renderPage } from '../../src/http/html.ts'
import type { Provider } from '../../src/providers/provider.ts'

/** The page on which a person chooses a product. Links are relative, so they work under any prefix. */
export function renderProductPage(products: readonly Provider[]): string {
  const links = products.map(
    ({ id, title }) => `<li><a href="auth/${id}/login?redirect=true">${title}</a></li>`
  )
  return renderPage('Connect your account', `<ul class="choices">${links.join('')}</ul>`)
}

/** The page for a link that no longer works. */
export function renderExpiredPage(message: string): string {
  return renderPage('Link expired', `<p>${message}</p>`)
}
