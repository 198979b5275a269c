import { fileURLToPath } from 'node:url'
import { ESLint } from 'eslint'
import t from 'tap'
import { isSameHash, hashSecret } from '../../src/lib/secret.ts'

const eslint = new ESLint({ cwd: fileURLToPath(new URL('../../', import.meta.url)) })

/** Number of lint errors for a line that compares a secret, in a file of the service. */
async function countLintErrors(line: string, filePath = 'src/oauth/anything.ts'): Promise<number> {
  const [{ messages } = { messages: [] }] = await eslint.lintText(`${line}\n`, { filePath })
  return messages.filter(({ ruleId }) => ruleId === 'no-restricted-syntax').length
}

t.test(
  'T30 Lint rejects comparisons of secrets or hashes that are not constant-time',
  async (t) => {
    for (const line of [
      'export const a = hash(key) === flow.browserHash',
      'export const a = flow.codeHash !== codeHash',
      'export const a = given == client.secret',
      'export const a = clientSecret === given',
      'export const a = password !== given',
      'export const a = hashOf(token) === stored',
      'export const a = hashSecret(token) === stored',
      'export const a = sha256(token) === stored',
      'export const a = given === request.apiKey'
    ]) {
      for (const file of [
        'src/access/anything.ts',
        'src/anything.ts',
        'plugins/anything.ts',
        'routes/auth/anything.ts'
      ]) {
        t.ok((await countLintErrors(line, file)) > 0, `${file}: ${line}`)
      }
    }
    for (const line of [
      'export const a = clientSecret === null',
      'export const a = flow.codeHash !== undefined',
      "export const a = url.hash === ''",
      "export const a = typeof secret === 'string'",
      'export const a = state === other'
    ]) {
      t.equal(await countLintErrors(line), 0, line)
    }
  }
)

t.test('T30 Compares hashes correctly at any position and length', (t) => {
  const whole = hashSecret('a secret')
  t.ok(isSameHash(whole, hashSecret('a secret')))
  for (let i = 0; i < whole.length; i++) {
    t.notOk(
      isSameHash(
        whole,
        `${whole.slice(0, i)}${whole.charAt(i) === 'A' ? 'B' : 'A'}${whole.slice(i + 1)}`
      )
    )
  }
  for (const other of ['', whole.slice(1), `${whole}A`, 'ä'.repeat(43)]) {
    t.notOk(isSameHash(whole, other))
  }
  t.end()
})
