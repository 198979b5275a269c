import type { Attack } from './attack.ts'
import { createUser, signIn } from './person.ts'

const POLLS = 60
const WAIT_S = 3

/** One person holds many waiting calls open, each of which reads the database five times a second. */
export const attack: Attack = {
  name: 'wait for changes sixty times at once as one person',
  item: 8,
  run: async (target) => {
    const email = `waiting-${Date.now()}@example.com`
    const id = await createUser(target, email)
    const headers = await signIn(target, email)
    const url = `${target.baseUrl}/users/${id}/changes`
    const { next } = (await (await fetch(url, { headers })).json()) as { next: string }
    const statuses = await Promise.all(
      Array.from({ length: POLLS }, async () => {
        const answer = await fetch(`${url}?since=${next}&wait=${WAIT_S}`, { headers })
        await answer.arrayBuffer()
        return answer.status
      })
    )
    const accepted = statuses.filter((status) => status === 200).length
    return { reached: accepted === POLLS, evidence: `${accepted} of ${POLLS} calls waited` }
  }
}
