import { escapeHtml, renderPage } from '../../src/http/html.ts'
import type { Provider } from '../../src/providers/provider.ts'

const NOT_YOU =
  '<p class="small">If this is not your address, close this page: somebody else gave you the link.</p>'

export interface LinkPage {
  products: readonly Provider[]
  /** Address of the user whose accounts are connected. */
  email: string
  formToken: string
  /** Secret of the link; undefined for the session that this browser has opened. */
  token: string | undefined
  /** The session of this browser that the link would replace, and the address of its user. */
  replaced: { id: number; email: string } | undefined
}

/** The page of a connect link. Forms are relative, so they work under any prefix. */
export function renderLinkPage({ products, email, formToken, token, replaced }: LinkPage): string {
  const titles = products.map(({ title }) => title).join(' or ')
  const isOtherPerson = replaced !== undefined && replaced.email !== email
  const buttons = products.map(
    ({ id, title }) =>
      `<li><button class="button" type="submit" name="product" value="${id}">` +
      `Connect ${escapeHtml(title)}${isOtherPerson ? ' instead' : ''}</button></li>`
  )
  return renderPage(
    `Connect ${titles} for ${email}`,
    [
      isOtherPerson
        ? `<p>This browser is connecting accounts for ${bold(replaced.email)}. ` +
          `If you go on, it stops that, and connects your account to ${bold(email)}.</p>`
        : `<p>Atlassian asks for your consent. The account with which you give it is connected to ` +
          `${bold(email)}.</p>`,
      '<form method="post" action="connect">',
      renderHidden({
        form_token: formToken,
        token,
        replaces: replaced === undefined ? undefined : String(replaced.id)
      }),
      `<ul class="choices">${buttons.join('')}</ul></form>`,
      NOT_YOU,
      ...(token === undefined
        ? [
            '<form method="post" action="connect/end">',
            renderHidden({ form_token: formToken }),
            '<p><button class="link" type="submit">Stop connecting in this browser</button></p></form>'
          ]
        : [])
    ].join('\n'),
    isOtherPerson ? 'notice' : undefined
  )
}

/** The page of a login that a person or a connect session has started. */
export function renderContinuePage(
  { title }: Provider,
  {
    email,
    isChange,
    ...fields
  }: { email: string | null; isChange: boolean; form_token: string; ticket: string }
): string {
  const owner = email ?? 'a new user'
  return renderPage(
    isChange ? `Replace the ${title} account of ${owner}` : `Connect ${title} for ${owner}`,
    [
      isChange
        ? `<p>The account with which you consent at Atlassian replaces the one that is connected to ` +
          `${bold(owner)}. What was copied with the old account is erased.</p>`
        : `<p>Atlassian asks for your consent. The account with which you give it is connected to ` +
          `${bold(owner)}.</p>`,
      '<form method="post" action="continue">',
      renderHidden(fields),
      '<p><button class="button" type="submit">' +
        `${isChange ? 'Replace the account' : `Connect ${escapeHtml(title)}`}</button></p></form>`,
      NOT_YOU,
      '<p class="small">This page works for one minute.</p>'
    ].join('\n'),
    isChange ? 'notice' : undefined
  )
}

/** A page that says why a link does not work, or that a session has ended. */
export function renderMessagePage(heading: string, message: string): string {
  return renderPage(heading, `<p>${escapeHtml(message)}</p>`)
}

function bold(text: string): string {
  return `<strong><bdi>${escapeHtml(text)}</bdi></strong>`
}

function renderHidden(fields: Record<string, string | undefined>): string {
  return Object.entries(fields)
    .map(([name, value]) =>
      value === undefined ? '' : `<input type="hidden" name="${name}" value="${escapeHtml(value)}">`
    )
    .join('')
}
