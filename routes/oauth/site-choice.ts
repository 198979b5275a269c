import { escapeHtml } from '../../src/http/html.ts'
import type { Site } from '../../src/model/site.ts'
import type { LoginResult } from '../../src/oauth/login-result.ts'
import type { Provider } from '../../src/providers/provider.ts'
import { renderParagraph } from './links.ts'

/**
 * A form that chooses the sites to copy, for a connection that reaches several. The sites that the
 * latest consent added come first and are ticked.
 */
export function renderSiteChoice({ id }: Provider, result: LoginResult): string {
  const { sites, selectedSites } = result.current.connection
  const isNew = ({ cloudId }: { cloudId: string }) => result.newSites.includes(cloudId)
  const choices = [...sites.filter(isNew), ...sites.filter((site) => !isNew(site))].map((site) => {
    const isTicked = isNew(site) || selectedSites.some(({ cloudId }) => cloudId === site.cloudId)
    return (
      `<li><label><input type="checkbox" name="cloud_id" value="${escapeHtml(site.cloudId)}"` +
      `${isTicked ? ' checked' : ''}>${escapeHtml(site.name)} ` +
      `<span class="small">${escapeHtml(site.url)}</span></label></li>`
    )
  })
  return (
    `<form method="post" action="${id}/sites">` +
    `<input type="hidden" name="form_token" value="${result.formToken}">` +
    `<ul class="choices">${choices.join('')}</ul>` +
    '<p><button class="button" type="submit">Copy the chosen sites</button></p></form>' +
    (selectedSites.length === 0
      ? ''
      : renderParagraph('What was copied from a site that is no longer chosen is erased.'))
  )
}

/** Whether to offer the choice: on request, or if the latest consent added a site that is not copied. */
export function isChoiceDue(
  choice: 'sites' | 'done' | undefined,
  { newSites, current: { connection } }: LoginResult
): boolean {
  const has = (sites: readonly Site[], id: string) => sites.some(({ cloudId }) => cloudId === id)
  return choice === undefined
    ? newSites.some((id) => has(connection.sites, id) && !has(connection.selectedSites, id))
    : choice === 'sites'
}
