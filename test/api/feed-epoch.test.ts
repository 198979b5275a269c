import t from 'tap'
import { FeedFollower } from './feed-follower.ts'
import { postProject, startSyncedService } from './synced-service.ts'

t.test('A new epoch of the change feed ends every earlier cursor with 410, once', async (t) => {
  const service = await startSyncedService(t, [])
  const { app, get, post } = service
  await post('/users', { email: 'ada@example.com' })
  for (const key of ['A', 'B', 'C']) await postProject(service, key)
  const [followers, cursors] = [
    [1, 2, 500].map((limit) => new FeedFollower(app, 1, limit)),
    []
  ] as [FeedFollower[], string[]]
  const collectCursors = async () => {
    for (const follower of followers) {
      await follower.readPage()
      cursors.push(follower.since ?? '')
      await follower.catchUp()
      cursors.push(follower.since ?? '')
    }
  }
  const startEpoch = async () =>
    await app.store.batch(() => [app.store.serviceState.feedEpochStatement()])
  const readCode = async (since: string) =>
    (await get(`/users/1/changes?since=${since}`)).json().code as unknown

  await collectCursors()
  for (const cursor of cursors) t.equal(await readCode(cursor), undefined)
  for (let i = 0; i < 2; i++) {
    await startEpoch()
    // Sequence numbers go on, so only the epoch tells that these cursors are old.
    await postProject(service, `N${i}`)
    for (const cursor of cursors) t.equal(await readCode(cursor), 'cursor_expired', cursor)
    const restarts = followers.map((follower) => follower.restarts)
    await collectCursors()
    t.same(
      followers.map((follower) => follower.restarts),
      restarts.map((count) => count + 1),
      'the cursor in the 410 begins a snapshot in the new epoch'
    )
    t.equal(followers[0]?.items.size, 4 + i)
  }
  t.equal(await readCode(cursors.at(-1) ?? ''), undefined, 'a cursor of the current epoch')
})
