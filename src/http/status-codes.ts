/**
 * The names of HTTP's status codes. As an import, `node:http` would load every one of its exports, also
 * those of `fetch`: a start would take a tenth longer.
 */
export const { STATUS_CODES } = process.getBuiltinModule('node:http')
