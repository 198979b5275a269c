/**
 * Requests the next page before the current one is saved, so that network and disk work at the
 * same time.
 */
export async function* prefetch<T>(pages: AsyncIterable<T>): AsyncGenerator<T> {
  const iterator = pages[Symbol.asyncIterator]()
  try {
    let next = iterator.next()
    while (true) {
      const { value, done } = await next
      if (done === true) return
      next = iterator.next()
      // It is awaited above, after the current page has been saved.
      next.catch(() => {})
      // Saving blocks the thread, so the request must be sent first; undici reuses the
      // connection one event-loop iteration later.
      for (let turn = 0; turn < 2; turn++) await new Promise(setImmediate)
      yield value
    }
  } finally {
    iterator.return?.().catch(() => {})
  }
}
