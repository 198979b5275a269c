import { escapeHtml } from '../../src/http/html.ts'

/** The query of a login page, as HTML. Links are relative, so they work under any prefix. */
export function renderLoginLink(
  product: string,
  query: Record<string, string | undefined>,
  text: string
): string {
  const parameters = Object.entries({ redirect: 'true', ...query }).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`]
  )
  const href = `../auth/${product}/login?${parameters.join('&')}`
  return `<p><a class="button" href="${escapeHtml(href)}">${escapeHtml(text)}</a></p>`
}

export function renderParagraph(text: string): string {
  return `<p>${escapeHtml(text)}</p>`
}

/** `12:30 UTC` */
export function formatTime(at: Date): string {
  return `${at.toISOString().slice(11, 16)} UTC`
}
