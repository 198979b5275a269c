import type { SandboxResponse } from '../gateway/answer.ts'
import type { GatewayCall, GatewayEndpoint } from '../state.ts'
import type { AnswerRules } from './rules.ts'
import type { CursorFaults, EmptyRun } from './cursor-faults.ts'

/** How one kind of listing carries its cursor. */
export interface ListingForm {
  readCursor: (call: GatewayCall) => string | undefined
  /** The page size that the call asks for, as text. */
  readSize: (call: GatewayCall) => string
  /** Lookups of named items are spared the faults. */
  isLookup: (call: GatewayCall) => boolean
  withCursor: (call: GatewayCall, cursor: string | undefined) => GatewayCall
  readNext: (response: SandboxResponse) => string | undefined
  /** The same page with this cursor, or with none. */
  withNext: (
    response: SandboxResponse,
    cursor: string | undefined,
    call: GatewayCall
  ) => SandboxResponse
  /** The same page without items. */
  emptied: (response: SandboxResponse) => SandboxResponse
  /** A cursor in the usual format that no page has. */
  createCursor: (number: number) => string
  /** The refusal of an invalid cursor. */
  refuseCursor: () => SandboxResponse
}

type Handler = GatewayEndpoint['handle']

/**
 * Adds the cursor faults of the site's answer rules to a listing: repeated cursors, empty pages,
 * cursors bound to a page size.
 */
export function withCursorFaults(form: ListingForm, handle: Handler): Handler {
  return (call) => {
    const rules = call.site.answers.rules()
    const isPlain =
      rules.repeatTokens === undefined &&
      rules.emptyPages === undefined &&
      rules.largePages?.cursorBound !== true
    if (isPlain || form.isLookup(call)) return handle(call)
    const { cursorFaults } = call.site.answers
    cursorFaults.trim()
    const asked = form.readCursor(call)
    const boundSize = asked === undefined ? undefined : cursorFaults.sizes.get(asked)
    if (boundSize !== undefined && boundSize !== form.readSize(call)) return form.refuseCursor()
    const response = answerWithFaults(form, handle, call, rules, asked)
    const next = form.readNext(response)
    if (next !== undefined && rules.largePages?.cursorBound === true) {
      cursorFaults.sizes.set(next, form.readSize(call))
    }
    return response
  }
}

function answerWithFaults(
  form: ListingForm,
  handle: Handler,
  call: GatewayCall,
  rules: AnswerRules,
  asked: string | undefined
): SandboxResponse {
  const faults = call.site.answers.cursorFaults
  const run = asked === undefined ? undefined : faults.emptyRuns.get(asked)
  if (asked !== undefined && run !== undefined && run.left > 0) {
    run.left--
    const first = form.emptied(handle(form.withCursor(call, undefined)))
    return form.withNext(first, nextEmptyCursor(form, faults, rules, run, asked), call)
  }
  const isEnd = (asked !== undefined && faults.ends.has(asked)) || isEndOfRun(run)
  const cursor = run === undefined ? asked : run.rest
  const response = isEnd
    ? form.withNext(form.emptied(handle(form.withCursor(call, undefined))), undefined, call)
    : handle(form.withCursor(call, cursor))
  if (response.status !== 200) return response
  if (asked === undefined && rules.emptyPages !== undefined) {
    return form.withNext(
      response,
      startEmptyRun(form, faults, rules.emptyPages, form.readNext(response)),
      call
    )
  }
  return rules.repeatTokens === undefined
    ? response
    : form.withNext(response, repeatCursor(form, faults, rules, asked, response), call)
}

function isEndOfRun(run: EmptyRun | undefined): boolean {
  return run !== undefined && run.rest === undefined
}

function startEmptyRun(
  form: ListingForm,
  faults: CursorFaults,
  { count, cursors }: NonNullable<AnswerRules['emptyPages']>,
  rest: string | undefined
): string {
  const names = Array.from({ length: cursors === 'alternating' ? 2 : 1 }, () =>
    form.createCursor(faults.nextNumber())
  )
  const run = { left: count, rest, cursors: names }
  for (const name of names) faults.emptyRuns.set(name, run)
  return names[0] ?? ''
}

function nextEmptyCursor(
  form: ListingForm,
  faults: CursorFaults,
  { emptyPages }: AnswerRules,
  run: EmptyRun,
  asked: string
): string {
  if (emptyPages?.cursors === 'new') {
    const name = form.createCursor(faults.nextNumber())
    faults.emptyRuns.set(name, { ...run, cursors: [name] })
    return name
  }
  return run.cursors.find((name) => name !== asked) ?? asked
}

/** The cursor of a listing that never ends. A listing of one page goes on with an empty page. */
function repeatCursor(
  form: ListingForm,
  faults: CursorFaults,
  { repeatTokens }: AnswerRules,
  asked: string | undefined,
  response: SandboxResponse
): string {
  const goOn = () => {
    const next = form.readNext(response)
    if (next !== undefined && next !== asked) return next
    const end = form.createCursor(faults.nextNumber())
    faults.ends.add(end)
    return end
  }
  if (asked === undefined) return goOn()
  if (repeatTokens === 'same') return asked
  const partner = faults.partners.get(asked) ?? goOn()
  faults.partners.set(asked, partner)
  faults.partners.set(partner, asked)
  return partner
}
