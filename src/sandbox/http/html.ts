const ENTITIES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;'
}

/** Text that is already HTML. */
class HtmlMarkup {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

type HtmlValue = string | number | undefined | HtmlMarkup | readonly HtmlValue[]

/**
 * A tagged template that escapes every value except nested markup. Lists are joined; undefined
 * is omitted.
 */
export function html(strings: TemplateStringsArray, ...values: HtmlValue[]): HtmlMarkup {
  return new HtmlMarkup(
    strings.reduce((text, part, index) => text + renderValue(values[index - 1]) + part)
  )
}

function renderValue(value: HtmlValue): string {
  if (value instanceof HtmlMarkup) return value.text
  if (Array.isArray(value)) return value.map(renderValue).join('')
  return value === undefined ? '' : escapeHtml(String(value))
}

function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (char) => ENTITIES[char] ?? char)
}

/** Renders a page without scripts; its stylesheet is a separate file. */
export function renderDocument(title: string, body: HtmlMarkup): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title} - Sandbox, not the real Atlassian</title>
        <link rel="icon" href="data:," />
        <link rel="stylesheet" href="authorize.css" />
      </head>
      <body>
        <p class="banner" role="note">
          <strong>Sandbox - not the real Atlassian.</strong> No data leaves this machine, and no
          password is required.
        </p>
        <main>${body}</main>
      </body>
    </html> `.text
}

export const STYLESHEET = `:root { color-scheme: light dark; --line: #8590a2; --accent: #0c66e4; }
* { box-sizing: border-box; }
body { margin: 0; font: 1rem/1.5 system-ui, sans-serif; background: Canvas; color: CanvasText; }
main { max-width: 36rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; }
h2 { font-size: 1.1rem; }
.banner { margin: 0; padding: .5rem 1rem; text-align: center; background: #ffe380; color: #172b4d; }
.warning { border-left: .25rem solid #b65c02; padding: .25rem .75rem; }
fieldset { border: 1px solid var(--line); border-radius: .25rem; margin: 1rem 0; }
label { display: block; padding: .25rem 0; min-height: 1.75rem; }
code { font-size: .9em; opacity: .85; }
button { font: inherit; padding: .5rem 1.25rem; min-height: 2.75rem; cursor: pointer; }
button { border-radius: .25rem; border: 1px solid var(--line); background: ButtonFace; color: ButtonText; }
button.primary { background: var(--accent); border-color: var(--accent); color: #fff; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
@media (prefers-color-scheme: dark) { :root { --accent: #1868db; --line: #738496; } a { color: #8fb8f6; } }
`
