import t, { type Test } from 'tap'
import { createVerifiedTokens, MAX_VERIFIED_TOKENS } from '../../src/access/verified-tokens.ts'

const START_MS = Date.UTC(2026, 0, 1)

/** Counts verifications; the test moves the clock and replaces the keys. */
function createCounted(t: Test) {
  const state = { count: 0, time: START_MS, keys: {} as object | undefined }
  t.intercept(Date, 'now', { value: () => state.time })
  const verifyOnce = createVerifiedTokens<{ expiresAt: number }>(() => state.keys)
  const verify = async (token: string) =>
    await verifyOnce(token, async () => {
      state.count++
      return { expiresAt: START_MS + 60_000 }
    })
  return { state, verify, verifyOnce }
}

t.test('T08 A token is verified once, until it expires or the clock is set back', async (t) => {
  const { state, verify } = createCounted(t)
  for (let i = 0; i < 3; i++) await verify('ada')
  t.equal(state.count, 1)
  state.time = START_MS + 59_999
  await verify('ada')
  t.equal(state.count, 1)
  state.time = START_MS + 60_000
  await verify('ada')
  t.equal(state.count, 2, 'expired')
  state.time = START_MS - 1
  await verify('ada')
  t.equal(state.count, 3, 'not valid yet, perhaps')
})

t.test('T08 Verified tokens are forgotten with the keys that verified them', async (t) => {
  const { state, verify, verifyOnce } = createCounted(t)
  await verify('ada')
  state.keys = {}
  await verify('ada')
  t.equal(state.count, 2, 'other keys')
  state.keys = undefined
  await verify('ada')
  await verify('ada')
  t.equal(state.count, 4, 'no keys')

  state.keys = {}
  await verifyOnce('eve', async () => {
    state.keys = {}
    await verify('ada')
    return { expiresAt: START_MS + 60_000 }
  })
  await verify('eve')
  t.equal(state.count, 6, 'keys that changed meanwhile')
})

t.test('T08 A token that was refused is not remembered', async (t) => {
  const { state, verify, verifyOnce } = createCounted(t)
  const refuse = async () => await Promise.reject(new Error('refused'))
  await t.rejects(verifyOnce('eve', refuse))
  await verify('eve')
  t.equal(state.count, 1)
})

t.test('The number of remembered tokens is bounded; the oldest is forgotten', async (t) => {
  const { state, verify } = createCounted(t)
  for (let i = 0; i <= MAX_VERIFIED_TOKENS; i++) await verify(`token-${i}`)
  t.equal(state.count, MAX_VERIFIED_TOKENS + 1)
  await verify(`token-${MAX_VERIFIED_TOKENS}`)
  t.equal(state.count, MAX_VERIFIED_TOKENS + 1, 'the newest is remembered')
  await verify('token-0')
  t.equal(state.count, MAX_VERIFIED_TOKENS + 2, 'the oldest is not')
})
