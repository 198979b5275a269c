import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { createAdmissionQueue } from '../../src/http/admission-queue.ts'
import { waitFor } from '../helper.ts'

t.test(
  'Every request that waits is started or refused, also if another takes its place',
  async (t) => {
    let isBusy = true
    const ends = new Map<string, string>()
    const { canStart, enqueue } = createAdmissionQueue({
      maxWaitMs: 5,
      isDatabaseBusy: () => isBusy
    })
    const send = (caller: string) => {
      const start = (onAnswered?: () => void) => {
        ends.set(caller, 'started')
        onAnswered?.()
      }
      const refuse = () => {
        ends.set(caller, 'refused')
      }
      if (canStart()) start()
      else enqueue({ caller, start, refuse, isAbandoned: () => false })
    }
    const callers = Array.from({ length: 60 }, (_, i) => `caller ${i}`)
    for (const caller of callers.slice(0, 50)) send(caller)
    t.equal(ends.size, 0, 'fifty wait')
    await sleep(8)
    // The wait is too long now: each further one takes the place of one that waits.
    for (const caller of callers.slice(50)) send(caller)
    isBusy = false
    await waitFor(() => ends.size === callers.length, 5_000)
    t.ok([...ends.values()].includes('started'))
    t.ok([...ends.values()].includes('refused'))
    for (const later of ['x', 'y', 'z']) {
      send(later)
      await waitFor(() => ends.get(later) === 'started', 5_000)
    }
  }
)
