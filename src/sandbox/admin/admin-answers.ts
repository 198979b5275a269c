import { parseAnswerRules } from '../answers/parse-rules.ts'
import type { SandboxState } from '../state.ts'
import { AdminError, resolveSite } from './fields.ts'

/** Replaces the answer rules of a site. */
export function setAnswers(state: SandboxState, body: unknown, path: string) {
  const { answers, pages } = resolveAnswers(state, path)
  const rules = parseAnswerRules(body)
  const changed = [...rules.liveDocs].filter((id) => !answers.rules().liveDocs.has(id))
  const ended = [...answers.rules().liveDocs].filter((id) => !rules.liveDocs.has(id))
  const positions = [...changed, ...ended].map((id) => {
    const row = pages.findById(id)
    if (row === undefined) throw new AdminError(`no page ${id}`)
    return row.position
  })
  // A Live Doc loses its text, or gets it back, with a new version.
  for (const position of positions) pages.change(position, {})
  answers.replace(rules, body as object)
  return answers.source()
}

export function readAnswers(state: SandboxState, _body: unknown, path: string) {
  return resolveAnswers(state, path).answers.source()
}

function resolveAnswers(state: SandboxState, path: string) {
  const [, name] = /^([^/]+)\/answers$/.exec(path) ?? []
  if (name === undefined) throw new AdminError('the path must be sites/{site}/answers')
  return resolveSite(state, name)
}
