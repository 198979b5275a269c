/** The parts of a text, of about `length` characters. Both halves of a surrogate pair stay together. */
export function* sliceText(text: string, length: number): Generator<string> {
  for (let [start, end] = [0, 0]; start < text.length; start = end) {
    end = start + length
    if (/[\uD800-\uDBFF]/.test(text.charAt(end - 1))) end++
    yield text.slice(start, end)
  }
}
