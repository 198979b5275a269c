import type { FeatureState } from '../../src/connections/features.ts'
import { escapeHtml, type PageKind } from '../../src/http/html.ts'
import type { ConnectionState } from '../../src/model/states.ts'
import type { Provider } from '../../src/providers/provider.ts'
import type { SyncRun } from '../../src/store/repositories/sync-runs.ts'
import type { ConnectionWithGrant } from '../../src/store/repositories/connections.ts'
import { formatTime, renderLoginLink, renderParagraph } from './links.ts'
import { isChoiceDue, renderSiteChoice } from './site-choice.ts'
import type { Visitor } from './visitor.ts'

const ACTIVE_RUN_REFRESH_S = 3
const PARKED_RUN_REFRESH_S = 30

export interface ConnectionPage {
  heading: string
  body: string
  kind: PageKind
  hasForm?: boolean
  /** Seconds after which the browser loads the page again. */
  refreshS?: number
}

export interface ConnectionPageInput {
  provider: Provider
  current: ConnectionWithGrant
  visitor: Visitor
  features: readonly FeatureState[]
  /** Scopes that a login may request. */
  configuredScopes: readonly string[]
  /** The latest run. */
  run: SyncRun | undefined
  /** The person wants to change the choice of sites, or has made it. */
  choice: 'sites' | 'done' | undefined
}

/** What a person sees after a login that succeeded: the true state, and what to do about it. */
export function renderConnectionPage(input: ConnectionPageInput): ConnectionPage {
  const { provider, current, visitor } = input
  const { title } = provider
  const { result } = visitor
  const { sites } = current.connection
  const canChoose = result !== undefined && sites.length > 0
  switch (current.state) {
    case 'needs_site':
      return renderNeedsSite(input)
    case 'scope_missing':
      return {
        heading: `${title} is connected, but scopes are missing`,
        body: renderMissingScopes(input, true),
        kind: 'notice'
      }
    case 'needs_reconnect':
    case 'misconfigured':
      return {
        heading: `${title} has to be connected again`,
        body: [
          renderParagraph(
            current.grant.errorDetail ?? 'Atlassian no longer accepts the connection.'
          ),
          ...(visitor.canLogIn ? [renderUserLogin(input, 'Connect again')] : [])
        ].join('\n'),
        kind: 'error'
      }
    case 'active':
    case 'degraded':
      return canChoose && isChoiceDue(input.choice, result)
        ? {
            heading: `Which ${title} sites shall be copied?`,
            body: renderSiteChoice(provider, result),
            kind: 'notice',
            hasForm: true
          }
        : renderProgress(input, canChoose && sites.length > 1)
  }
}

/** What a person sees whose browser proves nothing: the URL only claims a state. */
export function renderClaimedState(
  { title }: Provider,
  state: string | undefined,
  links: string
): ConnectionPage {
  const sentences: Partial<Record<ConnectionState, string>> = {
    needs_site: 'Nothing is copied yet: choose a site where you started the login.',
    scope_missing: 'Nothing is copied yet: the consent lacks scopes. See the connection for which.'
  }
  const sentence = Object.hasOwn(sentences, state ?? '')
    ? sentences[state as ConnectionState]
    : undefined
  return {
    heading: sentence === undefined ? `${title} is connected` : `${title} is connected, not copied`,
    body: renderParagraph(sentence ?? 'You can close this page.') + links,
    kind: sentence === undefined ? 'success' : 'notice'
  }
}

/** Links to what this person may open. */
export function renderLinks(
  products: readonly Provider[],
  userId: number | undefined,
  { canReadItems, canReadConnections, canReadDocs }: Visitor
): string {
  const owner = userId === undefined ? '' : `?owner_id=${userId}`
  const links = [
    ...(canReadItems
      ? products.flatMap(({ id, title, collections }) =>
          collections.map(({ name }) => [
            `../integrations/${id}/${name}/fetch${owner}`,
            `Copied ${title} ${name}`
          ])
        )
      : []),
    ...(canReadConnections && userId !== undefined
      ? [[`../users/${userId}/connections`, 'Connections']]
      : []),
    ...(canReadDocs ? [['../docs', 'API documentation']] : [])
  ].map(([href = '', text = '']) => `<li><a href="${href}">${escapeHtml(text)}</a></li>`)
  return links.length === 0 ? '' : `<ul>${links.join('')}</ul>`
}

function renderNeedsSite(input: ConnectionPageInput): ConnectionPage {
  const { provider, current, visitor } = input
  const { title } = provider
  const { sites } = current.connection
  const isRemoved = current.connection.errorCode === 'site_removed'
  const reason = renderParagraph(
    sites.length === 0
      ? `${title} is connected, but your consent reaches no site with ${title}.`
      : isRemoved
        ? `${title} is connected, but your consent no longer reaches a site that was chosen.`
        : `${title} is connected, and your consent reaches ${sites.length} sites. ` +
          'Nothing is copied before you choose.'
  )
  const heading = `Choose a site for ${title}`
  if (sites.length > 0 && visitor.result !== undefined) {
    const body = reason + renderSiteChoice(provider, visitor.result)
    return { heading, body, kind: 'notice', hasForm: true }
  }
  const action = visitor.canLogIn
    ? renderUserLogin(input, 'Connect again and choose a site')
    : renderParagraph('Choose a site where you started the login.')
  return { heading, body: reason + action, kind: 'notice' }
}

function renderMissingScopes(
  { provider, current, features, configuredScopes, visitor }: ConnectionPageInput,
  isBlocking: boolean
): string {
  const missing = features.filter(({ isEnabled }) => !isEnabled)
  if (missing.length === 0) return ''
  const missingScopes = [...new Set(missing.flatMap((feature) => feature.missingScopes))]
  const notRequested = missingScopes.filter((scope) => !configuredScopes.includes(scope))
  const held = current.grant.scopes.split(' ').filter((scope) => configuredScopes.includes(scope))
  const list = missing.map(
    ({ feature, missingScopes: scopes }) =>
      `<li>${escapeHtml(feature.name.replaceAll('_', ' '))}: ` +
      `<code>${escapeHtml(scopes.join(' '))}</code></li>`
  )
  const action =
    notRequested.length > 0
      ? renderParagraph(
          `The operator has to enable ${notRequested.join(' ')} on the app at Atlassian and in ` +
            `${provider.settings.prefix}_OAUTH_SCOPES. Then connect again.`
        )
      : visitor.canLogIn
        ? renderLoginLink(
            provider.id,
            {
              state: `user_id=${current.connection.userId}`,
              scope: [...new Set([...held, ...missingScopes])].join(' ')
            },
            'Ask for the missing scopes'
          )
        : renderParagraph('Open the link that you were given once more, and accept all scopes.')
  return (
    renderParagraph(
      isBlocking
        ? 'Nothing is copied before your consent covers these scopes:'
        : 'These features are off, because your consent lacks their scopes:'
    ) + `<ul>${list.join('')}</ul>${action}`
  )
}

function renderProgress(input: ConnectionPageInput, canChange: boolean): ConnectionPage {
  const { provider, current, run } = input
  const { title } = provider
  const sites = current.connection.selectedSites.map(({ name }) => name).join(', ')
  const footer =
    (canChange
      ? `<p><a href="?provider=${provider.id}&amp;status=success&amp;choose=sites">Change the sites</a></p>`
      : '') +
    renderMissingScopes(input, false) +
    `<p class="small">${escapeHtml(`Sites: ${sites}`)}</p>`
  const closing = 'This page keeps itself up to date. You can close it; the copy goes on.'
  if (run === undefined || run.state === 'queued' || run.state === 'running') {
    return {
      heading: `${title} is connected`,
      body: renderRunProgress(run) + renderParagraph(closing) + footer,
      kind: 'success',
      refreshS: ACTIVE_RUN_REFRESH_S
    }
  }
  if (run.state === 'parked') {
    const until =
      run.parkedUntil === null ? '' : ` The copy goes on at ${formatTime(run.parkedUntil)}.`
    return {
      heading: `${title} is connected`,
      body:
        renderRunProgress(run) +
        renderParagraph(`Atlassian limits the rate of calls.${until} ${closing}`) +
        footer,
      kind: 'success',
      refreshS: PARKED_RUN_REFRESH_S
    }
  }
  const { syncDueAt } = current.connection
  const next = syncDueAt === null ? '' : ` It is tried again at ${formatTime(syncDueAt)}.`
  if (run.state === 'succeeded') {
    const body = renderParagraph(
      `The copy is complete. Items read: ${run.seen}. You can close this page.`
    )
    return { heading: `${title} is connected and copied`, body: body + footer, kind: 'success' }
  }
  const isFailed = run.state === 'failed'
  return {
    heading: isFailed
      ? `${title} is connected, but the copy failed`
      : `${title} is connected, but not all is copied`,
    body: renderParagraph(`${run.errorDetail ?? 'The copy was stopped.'}${next}`) + footer,
    kind: isFailed ? 'error' : 'notice'
  }
}

function renderRunProgress(run: SyncRun | undefined): string {
  if (run?.progress === undefined || run.progress === null) {
    return renderParagraph('The first copy starts in a moment.')
  }
  const { collection, done, expected } = run.progress
  const of = expected === null ? '' : ` of about ${Math.max(expected, done)}`
  const bar =
    expected === null
      ? '<progress></progress>'
      : `<progress value="${done}" max="${Math.max(expected, done, 1)}"></progress>`
  return (
    renderParagraph(`Copying ${collection}: ${done}${of}. Read so far: ${run.seen}.`) +
    `<p>${bar}</p>`
  )
}

function renderUserLogin({ provider, current }: ConnectionPageInput, text: string): string {
  return renderLoginLink(provider.id, { state: `user_id=${current.connection.userId}` }, text)
}
