import { get } from 'node:http'
import type { Attack } from './attack.ts'
import { startAttackedService } from './service.ts'

/**
 * A web site whose name resolves to 127.0.0.1 reads, as its own, what development serves without
 * credentials; a form of another site starts things.
 */
export const attack: Attack = {
  name: 'reach a development service with a real app from a web site',
  item: 6,
  run: async ({ root }) => {
    const service = await startAttackedService(root, {
      API_ACCESS: 'public',
      BOOTSTRAP_API_KEY: '',
      JIRA_OAUTH_CLIENT_ID: 'real-app',
      JIRA_OAUTH_CLIENT_SECRET: 'real-secret',
      JIRA_OAUTH_REDIRECT_URI: 'http://localhost:3001/auth/jira/callback'
    })
    try {
      const { baseUrl } = service.target
      const rebound = await new Promise<number>((resolve, reject) => {
        get(`${baseUrl}/users`, { headers: { host: 'rebound.evil.example' } }, (response) => {
          response.resume()
          resolve(response.statusCode ?? 0)
        }).on('error', reject)
      })
      const origin = 'https://evil.example'
      const script = await fetch(`${baseUrl}/users`, { headers: { origin } })
      const form = await fetch(`${baseUrl}/integrations/jira/sync`, {
        method: 'POST',
        headers: { origin, 'sec-fetch-site': 'cross-site' }
      })
      return {
        reached: rebound === 200 || script.status === 200 || ![401, 403].includes(form.status),
        evidence: `foreign Host ${rebound}, foreign Origin ${script.status}, form ${form.status}`
      }
    } finally {
      await service.stop()
    }
  }
}
