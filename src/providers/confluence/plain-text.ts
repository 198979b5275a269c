const BLOCK_ENDS =
  /<\/(p|h[1-6]|li|tr|table|div|blockquote|pre|ac:task|ac:layout-cell)>|<(br|hr)\s*\/?>/gi
const ENTITIES: Record<string, string> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: ' ',
  ndash: '–',
  mdash: '—',
  hellip: '…',
  rsquo: '’',
  lsquo: '‘',
  ldquo: '“',
  rdquo: '”'
}

/**
 * The words of a page in storage format, one line for each block: what searching and reading need. Macro parameters are no words.
 * What is opened and never closed reaches to the end, so that no pattern looks for its end again and again.
 */
export function toPlainText(storage: string): string {
  return storage
    .replace(/<!\[CDATA\[([\s\S]*?)(?:\]\]>|$)/g, (_whole, code: string) =>
      code.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
    )
    .replace(/<ac:parameter\b[^<>]*(?<!\/)>[\s\S]*?(?:<\/ac:parameter>|$)/gi, '')
    .replace(BLOCK_ENDS, '\n')
    .replace(/<[^<>]*>/g, '')
    .replace(/&(#x?[\da-f]{1,6}|\w{2,8});/gi, (whole, name: string) => decodeEntity(name) ?? whole)
    .replace(/[^\S\n]+/g, ' ')
    .replace(/ ?\n ?/g, '\n')
    .replace(/\n{3,}/g, '\n\n')
    .trim()
}

function decodeEntity(name: string): string | undefined {
  if (!name.startsWith('#')) return ENTITIES[name.toLowerCase()]
  const code = /^#x/i.test(name) ? Number.parseInt(name.slice(2), 16) : Number(name.slice(1))
  return code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff)
    ? String.fromCodePoint(code)
    : undefined
}
