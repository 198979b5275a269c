import { inWords, sitesOf } from '../oauth/authorize.ts'
import type { Consent, Problem } from '../oauth/authorize.ts'
import type { User } from '../oauth/users.ts'
import type { World } from '../state.ts'
import { document, html } from './html.ts'

type Field = [name: string, value: string]

/** Names the app, its scopes in words, the account and, for apps that reach one site, the site. */
export function consentPage(
  world: World,
  { client, redirectUri, scopes }: Consent,
  kept: Field[]
): string {
  const single = client.access === 'resource'
  const sites = sitesOf(world, world.users[0]?.accountId ?? '')
  return document(
    `${client.name} wants access`,
    html`<h1>${client.name} is requesting access to your Atlassian account</h1>
      <p class="warning">
        This app has not been reviewed by Atlassian. Only go on if you trust its maker.
      </p>
      <h2>It would like to</h2>
      <ul>
        ${scopes.map((scope) => html` <li>${inWords(scope)} <code>${scope}</code></li>`)}
      </ul>
      ${scopes.length === 0 ? html`<p>Nothing at all: none of the scopes it asked for exists.</p>` : undefined}
      <p>
        Accepting replaces the scopes that you have granted to this app before, and adds to its
        sites.
      </p>
      <form method="post" action="authorize">
        ${kept.map(
          ([name, value]) => html`<input type="hidden" name="${name}" value="${value}" /> `
        )}
        <fieldset>
          <legend>Account</legend>
          ${world.users.map(
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
          single
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
        <p>You will be sent back to <code>${redirectUri}</code>.</p>
        <p>
          <button class="primary" name="decision" value="accept">Accept</button>
          <button name="decision" value="cancel">Cancel</button>
        </p>
      </form>
      <h2>Without the form</h2>
      <ul>
        ${world.users.flatMap((user) =>
          (single ? sites : [undefined]).map(
            (site) =>
              html` <li>
                <a href="${acceptLink(kept, user, site?.name)}"
                  >Accept as ${user.name}${site === undefined ? undefined : ` on ${site.name}`}</a
                >
              </li>`
          )
        )}
      </ul>`
  )
}

/** Relative, so that it works under any prefix. */
function acceptLink(kept: Field[], { nickname }: User, site: string | undefined): string {
  const params = new URLSearchParams([
    ...kept,
    ['sandbox_decision', 'accept'],
    ['sandbox_account', nickname]
  ])
  if (site !== undefined) params.set('sandbox_site', site)
  return `authorize?${params}`
}

/** A page of Atlassian's own: nothing reaches the callback. */
export function problemPage({ title, error, detail }: Problem): string {
  return document(
    title,
    html`<h1>${title}</h1>
      <p>${detail}</p>
      <p>Error: <code>${error}</code>. You are not sent back to the app.</p>`
  )
}
