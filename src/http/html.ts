import { createHash } from 'node:crypto'

const STYLE = `
:root { color-scheme: light dark; font: 1.0625rem/1.5 system-ui, sans-serif }
body { max-width: 34rem; margin: 12vh auto 4rem; padding: 0 1.25rem }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .75rem }
.success h1::before, .notice h1::before, .error h1::before { content: ''; display: inline-block }
.success h1::before, .notice h1::before, .error h1::before { width: .7em; height: .7em; margin-right: .5em }
.success h1::before, .notice h1::before, .error h1::before { border-radius: 50%; background: #1f845a }
.notice h1::before { background: #b38600 }
.error h1::before { background: #c9372c }
p { margin: .75rem 0 }
a { color: inherit; text-underline-offset: .2em }
:focus-visible { outline: .2rem solid #388bff; outline-offset: .2rem }
.choices { list-style: none; margin: 0; padding: 0 }
.choices li { margin: .75rem 0 }
.choices a, .choices label { display: block; padding: .75rem 1rem }
.choices a, .choices label { border: 1px solid #8590a2; border-radius: .25rem }
.choices input { margin: 0 .6rem 0 0 }
.button { display: inline-block; padding: .5rem 1rem; border: 0; border-radius: .25rem; font: inherit }
.button { background: #0c66e4; color: #fff; text-decoration: none; cursor: pointer }
progress { width: 100%; height: .75rem }
.link { padding: 0; border: 0; background: none; font: inherit; font-size: .9rem; text-decoration: underline }
.small { opacity: .75; font-size: .9rem; overflow-wrap: anywhere }
`
const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64')

function buildPageHeaders(formAction: "'none'" | "'self'" | undefined) {
  return {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': [
      "default-src 'none'",
      'img-src data:',
      `style-src 'sha256-${STYLE_HASH}'`,
      "base-uri 'none'",
      ...(formAction === undefined ? [] : [`form-action ${formAction}`]),
      "frame-ancestors 'none'"
    ].join('; ')
  }
}

/** Headers of a page: it may load its own style and nothing else. */
export const PAGE_HEADERS = buildPageHeaders("'none'")
/** Headers of a page with a form: it may also send the form to this service. */
export const FORM_PAGE_HEADERS = buildPageHeaders("'self'")

/**
 * Headers of a page whose form continues at Atlassian. No `form-action`: Chromium also applies it to
 * every redirect after the form, through Atlassian and a company's own sign-in.
 */
export const LEAVING_FORM_PAGE_HEADERS = buildPageHeaders(undefined)

export type PageKind = 'success' | 'notice' | 'error'

/**
 * A page without scripts.
 *
 * @param body HTML; the caller escapes what it puts in
 * @param kind colour of the dot before the heading; none by default
 */
export function renderPage(heading: string, body: string, kind?: PageKind): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(heading)}</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body${kind === undefined ? '' : ` class="${kind}"`}>
<main><h1>${escapeHtml(heading)}</h1>${body}</main>
</body>
</html>
`
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
