import { createHash } from 'node:crypto'
import { providers } from '../../src/providers/index.ts'

const STYLE = `
:root { color-scheme: light dark; font: 1.0625rem/1.5 system-ui, sans-serif }
body { max-width: 34rem; margin: 12vh auto 4rem; padding: 0 1.25rem }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 1rem }
ul { list-style: none; margin: 0; padding: 0 }
li { margin: .75rem 0 }
a { display: block; padding: .75rem 1rem; border: 1px solid #8590a2; border-radius: .25rem; color: inherit }
a:focus-visible { outline: .2rem solid #388bff; outline-offset: .2rem }
`
const CSP = `default-src 'none'; img-src data:; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`

export const PAGE_HEADERS = { 'content-security-policy': CSP }

/** Which product to connect: plain links, no script; relative, so that they work behind any prefix. */
export function chooseProductPage(products: readonly string[]): string {
  const links = providers
    .filter(({ id }) => products.includes(id))
    .map(({ id, title }) => `<li><a href="auth/${id}/login?redirect=true">${title}</a></li>`)
  return renderPage(
    'Connect your account',
    `<h1>What do you want to connect?</h1>
<ul>
${links.join('\n')}
</ul>`
  )
}

/** That there is nothing to be done here any more. */
export function expiredPage(message: string): string {
  return renderPage(
    'Not connected',
    `<h1>This does not go on</h1>
<p>${message}</p>`
  )
}

function renderPage(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${title}</title><link rel="icon" href="data:,"><style>${STYLE}</style></head>
<body><main>
${body}
</main></body>
</html>
`
}
