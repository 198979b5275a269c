import { Tokenizer, type TokenizerCallbacks } from 'htmlparser2'

/** Elements that end a line. */
const BLOCKS = new Set(
  'p h1 h2 h3 h4 h5 h6 li tr table div blockquote pre ac:task ac:layout-cell br hr'.split(' ')
)
const EMPTY_BLOCKS = ['br', 'hr']
/** Parameters of a macro, which readers do not see. */
const PARAMETER = 'ac:parameter'

const OPEN_CDATA = '[CDATA['

/**
 * The text of a page in storage format, one line per block. An element that is never closed extends
 * to the end of the page. The tokenizer keeps no stack of elements, so time is linear in the length
 * of any input.
 */
export function toPlainText(storage: string): string {
  let text = ''
  let parameterDepth = 0
  let openTag = ''
  const append = (part: string) => {
    if (parameterDepth === 0) text += part
  }
  const readName = (start: number, end: number) => storage.slice(start, end).toLowerCase()
  const callbacks: TokenizerCallbacks = {
    ontext: (start, end) => {
      append(storage.slice(start, end))
    },
    ontextentity: (codePoint) => {
      append(String.fromCodePoint(codePoint))
    },
    oncdata: (start, end, endOffset) => {
      append(storage.slice(start, end - endOffset))
    },
    // The tokenizer reports CDATA that is never closed as a comment.
    oncomment: (start, end) => {
      if (storage.startsWith(OPEN_CDATA, start)) {
        append(storage.slice(start + OPEN_CDATA.length, end))
      }
    },
    onopentagname: (start, end) => {
      openTag = readName(start, end)
      if (openTag === PARAMETER) parameterDepth++
      if (EMPTY_BLOCKS.includes(openTag)) append('\n')
    },
    onselfclosingtag: () => {
      if (openTag === PARAMETER) parameterDepth--
      else if (BLOCKS.has(openTag) && !EMPTY_BLOCKS.includes(openTag)) append('\n')
    },
    onclosetag: (start, end) => {
      const name = readName(start, end)
      if (name === PARAMETER) parameterDepth = Math.max(0, parameterDepth - 1)
      else if (BLOCKS.has(name)) append('\n')
    },
    // Storage format is XML: CDATA is text everywhere, and no element is raw text.
    isInForeignContext: () => true,
    onopentagend: () => {},
    onattribname: () => {},
    onattribdata: () => {},
    onattribentity: () => {},
    onattribend: () => {},
    ondeclaration: () => {},
    onprocessinginstruction: () => {},
    onend: () => {}
  }
  const tokenizer = new Tokenizer({ decodeEntities: true, recognizeSelfClosing: true }, callbacks)
  tokenizer.write(storage)
  tokenizer.end()
  return text
    .replace(/[^\S\n]+/g, ' ')
    .replace(/ ?\n ?/g, '\n')
    .replace(/\n{3,}/g, '\n\n')
    .trim()
}
