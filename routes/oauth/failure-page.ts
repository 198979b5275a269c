import { escapeHtml } from '../../src/http/html.ts'
import type { ErrorCode } from '../../src/lib/errors.ts'
import type { Provider } from '../../src/providers/provider.ts'
import { renderLoginLink, renderParagraph } from './links.ts'

const OPERATOR_ADVICE = 'The operator of this service has to correct its settings.'
const REPEAT_ADVICE = 'Start the login again, and finish it in this browser.'
const WAIT_ADVICE = 'Wait a few minutes, then try again.'

/** Why a login failed, and what the person can do about it. */
const FAILURES: Partial<Record<ErrorCode, [reason: string, advice: string]>> = {
  access_denied: [
    'Consent was not given.',
    'Nothing was stored. Try again if you want to connect after all.'
  ],
  expired_state: ['The login took longer than ten minutes.', REPEAT_ADVICE],
  replayed_state: ['This login was already used.', REPEAT_ADVICE],
  unknown_state: ['This login was not started here.', REPEAT_ADVICE],
  missing_state: ['Atlassian returned no login.', REPEAT_ADVICE],
  missing_code: ['Atlassian returned no authorization code.', REPEAT_ADVICE],
  wrong_product: ['The login was started for another product.', REPEAT_ADVICE],
  wrong_browser: [
    'The login was started in another browser, or under another URL of this service.',
    REPEAT_ADVICE
  ],
  account_changed: [
    'This is not the Atlassian account that is connected. Nothing was changed.',
    'Decide which of the two accounts this service copies.'
  ],
  email_mismatch: [
    'The Atlassian account has another email address than the person who is connected here, or shows none.',
    'Nothing was stored. Log in at Atlassian with your own account, and try again.'
  ],
  user_not_found: [
    'The login names a user that does not exist.',
    'Ask for a new link where you got this one.'
  ],
  oauth_misconfigured: ['Atlassian rejects the client settings of this service.', OPERATOR_ADVICE],
  invalid_code: ['Atlassian rejected the login.', REPEAT_ADVICE],
  callback_interrupted: ['The login was interrupted.', REPEAT_ADVICE],
  upstream_unreachable: ['Atlassian cannot be reached.', WAIT_ADVICE],
  upstream_timeout: ['Atlassian did not respond in time.', WAIT_ADVICE],
  upstream_failed: ['Atlassian returned an error.', WAIT_ADVICE],
  upstream_rate_limited: ['Atlassian is limiting the rate of requests.', WAIT_ADVICE]
}

export interface FailureQuery {
  error?: string
  confirm_url?: string
  request_id?: string
  state?: string
}

/**
 * The heading and body after a login that failed. Anyone can write the URL of the page, so its
 * message is ignored.
 */
export function renderFailure(
  { id, title }: Provider,
  { error = '', request_id: requestId, confirm_url: confirmUrl, state: ownState }: FailureQuery,
  canLogIn: boolean
): { heading: string; body: string } {
  const isOtherAccount = error === 'account_changed'
  const [reason, advice] = (Object.hasOwn(FAILURES, error)
    ? FAILURES[error as ErrorCode]
    : undefined) ?? [
    'The login failed.',
    'Try again. Tell the operator the line below if it lasts.'
  ]
  const state = ownState ?? URL.parse(confirmUrl ?? '')?.searchParams.get('state') ?? undefined
  const links = !canLogIn
    ? [renderParagraph('Open the link that you were given once more, or ask for a new one.')]
    : isOtherAccount
      ? [
          renderLoginLink(
            id,
            { change_account: 'true', state },
            'Connect the other account instead'
          ),
          renderLoginLink(id, { state }, 'Log in with the connected account')
        ]
      : [renderLoginLink(id, { state }, 'Try again')]
  const reference = [error, ...(requestId === undefined ? [] : [`request ${requestId}`])]
  return {
    heading: isOtherAccount ? `The ${title} connection is unchanged` : `${title} is not connected`,
    body: [
      renderParagraph(reason),
      renderParagraph(advice),
      ...links,
      `<p class="small">${escapeHtml(reference.join(' · '))}</p>`
    ].join('\n')
  }
}
