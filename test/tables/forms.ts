/** How a secret might be written down by mistake. */
export function forms(secret: string): Map<string, string> {
  const bytes = Buffer.from(secret)
  // Behind 0, 1 or 2 other bytes; the characters that the neighbours have a part in are left out.
  const base64 = [0, 1, 2].map((shift) =>
    Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .replace(/=+$/, '')
      .slice(shift === 0 ? 0 : shift + 1, -1)
  )
  const found: Array<[string, string]> = [
    ['raw', secret],
    ['URL-encoded', encodeURIComponent(secret)],
    ['encoded twice', encodeURIComponent(encodeURIComponent(secret))],
    ['base64', base64[0] ?? ''],
    ['base64 behind one byte', base64[1] ?? ''],
    ['base64 behind two bytes', base64[2] ?? ''],
    ['base64url', bytes.toString('base64url').slice(0, -1)],
    ['hex', bytes.toString('hex')],
    ['HEX', bytes.toString('hex').toUpperCase()],
    ['JSON-escaped', JSON.stringify(secret).slice(1, -1)],
    ['reversed', [...secret].reverse().join('')],
    ['upper case', secret.toUpperCase()],
    ['lower case', secret.toLowerCase()],
    [
      'cut by a line break',
      `${secret.slice(0, secret.length / 2)}\n${secret.slice(secret.length / 2)}`
    ],
    ['UTF-16', bytes.toString('latin1').split('').join('\0')],
    ['HTML', [...secret].map((c) => `&#${c.codePointAt(0)};`).join('')],
    ['first three quarters', secret.slice(0, Math.ceil(secret.length * 0.75))]
  ]
  return new Map(found)
}
