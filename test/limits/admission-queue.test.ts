import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { createAdmissionQueue } from '../../src/http/admission-queue.ts'
import { waitFor } from '../helper.ts'

const MAX_WAIT_MS = 30

t.test(
  'Every request that waits is started or refused, also if another takes its place',
  async (t) => {
    let isBusy = true
    const ends = new Map<string, string>()
    const { canStart, enqueue } = createAdmissionQueue({
      maxWaitMs: MAX_WAIT_MS,
      isDatabaseBusy: () => isBusy
    })
    const send = (caller: string) => {
      const start = () => {
        ends.set(caller, 'started')
      }
      const refuse = () => {
        ends.set(caller, 'refused')
      }
      if (canStart()) start()
      else enqueue({ caller, start, refuse, isStreaming: () => true, isAbandoned: () => false })
    }
    const callers = Array.from({ length: 50 }, (_, i) => `caller ${i}`)
    callers.forEach(send)
    t.equal(ends.size, 0, 'fifty wait')
    await sleep(MAX_WAIT_MS + 10)
    isBusy = false
    // The wait is too long: each further one takes the place of one that waits, in every turn of the
    // event loop until the queue goes on.
    while (![...ends.values()].includes('started')) {
      callers.push(`caller ${callers.length}`)
      send(callers.at(-1) ?? '')
      await new Promise(setImmediate)
    }
    await waitFor(() => ends.size === callers.length, 5_000)
    t.ok([...ends.values()].includes('refused'))
    for (const later of ['x', 'y', 'z']) {
      send(later)
      await waitFor(() => ends.get(later) === 'started', 5_000)
    }
  }
)
