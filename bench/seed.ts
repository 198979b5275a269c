/** The rows of both subjects before the first request. */

export const USER_COUNT = 100
const PROJECT_COUNT = 1_000

export const users = Array.from({ length: USER_COUNT }, (_, i) => ({
  email: `user-${i + 1}@example.com`,
  displayName: `User ${i + 1}`
}))

/** Projects of the first user. Every third one has no lead. */
export const projects = Array.from({ length: PROJECT_COUNT }, (_, i) => {
  const key = `P${String(i + 1).padStart(4, '0')}`
  return {
    remoteId: String(10_000 + i),
    key,
    name: `Project ${i + 1}`,
    lead: i % 3 === 0 ? null : 'Dana Fox',
    url: `https://acme.atlassian.net/browse/${key}`
  }
})

/** The Jira app that logins use. */
export const OAUTH_CLIENT = {
  id: 'benchmark-client',
  secret: 'benchmark-client-secret',
  redirectUri: 'https://connector.example.com/auth/jira/callback',
  scopes: 'read:jira-work read:jira-user read:me offline_access',
  authorizeUrl: 'https://auth.atlassian.com/authorize'
}
