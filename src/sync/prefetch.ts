/**
 * Iterations of the event loop before a page is saved. Saving blocks the thread, so the next request
 * must be sent first, and undici reuses the connection one iteration later. The others are for requests
 * to the service: what waits for one page does not wait for the next one as well. They take next to no
 * time where there is no other work.
 */
const TURNS_BETWEEN_PAGES = 8

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
      for (let turn = 0; turn < TURNS_BETWEEN_PAGES; turn++) await new Promise(setImmediate)
      yield value
    }
  } finally {
    iterator.return?.().catch(() => {})
  }
}
