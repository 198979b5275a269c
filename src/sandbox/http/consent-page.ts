import { listAccessibleSites } from '../oauth/authorize.ts'
import type { ConsentRequest, AuthorizeError } from '../oauth/authorize.ts'
import type { SandboxUser } from '../oauth/users.ts'
import type { SandboxState } from '../state.ts'
import { renderDocument, html } from './html.ts'

type FormField = [name: string, value: string]

/** Names the app, its scopes, the account and, for an app that reaches one site, the site. */
export function renderConsentPage(
  state: SandboxState,
  { client, redirectUri, scopes }: ConsentRequest,
  formFields: FormField[]
): string {
  const isSingleSite = client.access === 'resource'
  const sites = listAccessibleSites(state, state.users[0]?.accountId ?? '')
  return renderDocument(
    `${client.name} wants access`,
    html`<h1>${client.name} is requesting access to your Atlassian account</h1>
      <p class="warning">
        This app has not been reviewed by Atlassian. Continue only if you trust its developer.
      </p>
      <h2>It would like to</h2>
      <ul>
        ${scopes.map((scope) => html` <li>${state.scopes[scope]} <code>${scope}</code></li>`)}
      </ul>
      ${scopes.length === 0 ? html`<p>None of the requested scopes exists.</p>` : undefined}
      <p>
        If you accept, these scopes replace the scopes that the app has. It keeps the sites that it
        already reaches.
      </p>
      <form method="post" action="authorize">
        ${formFields.map(
          ([name, value]) => html`<input type="hidden" name="${name}" value="${value}" /> `
        )}
        <fieldset>
          <legend>Account</legend>
          ${state.users.map(
            (user, index) =>
              html` <label
                ><input
                  type="radio"
                  name="account"
                  value="${user.accountId}"
                  ${index === 0 ? html` checked` : undefined}
                />
                ${user.name} (${user.email}, ${user.timeZone})</label
              >`
          )}
        </fieldset>
        ${
          isSingleSite
            ? html`<fieldset>
                <legend>Choose a site</legend>
                ${sites.map(
                  ({ cloudId, url }, index) =>
                    html` <label
                      ><input
                        type="radio"
                        name="site"
                        value="${cloudId}"
                        ${index === 0 ? html` checked` : undefined}
                      />
                      ${url}</label
                    >`
                )}
              </fieldset>`
            : html`<p>
                The app will reach every site of the account:
                ${sites.map(({ url }) => url).join(', ')}.
              </p>`
        }
        <p>The browser then returns to <code>${redirectUri}</code>.</p>
        <p>
          <button class="primary" name="decision" value="accept">Accept</button>
          <button name="decision" value="cancel">Cancel</button>
        </p>
      </form>
      <h2>Without the form</h2>
      <ul>
        ${state.users.flatMap((user) =>
          (isSingleSite ? sites : [undefined]).map(
            (site) =>
              html` <li>
                <a href="${buildAcceptLink(formFields, user, site?.name)}"
                  >Accept as ${user.name}${site === undefined ? undefined : ` on ${site.name}`}</a
                >
              </li>`
          )
        )}
      </ul>`
  )
}

/** Relative, so that it works under any prefix. */
function buildAcceptLink(
  formFields: FormField[],
  { nickname }: SandboxUser,
  site: string | undefined
): string {
  const params = new URLSearchParams([
    ...formFields,
    ['sandbox_decision', 'accept'],
    ['sandbox_account', nickname]
  ])
  if (site !== undefined) params.set('sandbox_site', site)
  return `authorize?${params}`
}

/** Atlassian's error page. The browser does not return to the callback. */
export function renderErrorPage({ title, error, detail }: AuthorizeError): string {
  return renderDocument(
    title,
    html`<h1>${title}</h1>
      <p>${detail}</p>
      <p>Error: <code>${error}</code>. The browser does not return to the app.</p>`
  )
}
