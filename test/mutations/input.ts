import type { Mutation } from './mutation.ts'
import { WEB_MUTATIONS } from './web.ts'

const HAND_POSTED = 'test/api/hand-posted-keys.test.ts'
const PROBLEMS = 'test/api/problems.test.ts'
const TYPES = 'test/api/types.test.ts'
const RAW = 'test/api/raw.test.ts'
const REQUEST_IDS = 'test/api/request-id.test.ts'

/** Defences against what a request may contain. */
export const INPUT_MUTATIONS: readonly Mutation[] = [
  {
    name: 'A hand-posted key may contain control characters',
    file: 'src/lib/formats.ts',
    find: '/[\\p{Cc}\\p{Cf}\\p{Zl}',
    replace: '/[\\p{Cf}\\p{Zl}',
    test: HAND_POSTED,
    proves: ['C1', 'T17']
  },
  {
    name: 'A hand-posted key may contain bidirectional marks and zero-width characters',
    file: 'src/lib/formats.ts',
    find: '\\p{Cf}\\p{Zl}\\p{Zp}\\p{Default_Ignorable_Code_Point}]/u',
    replace: '\\p{Zl}\\p{Zp}]/u',
    test: HAND_POSTED,
    proves: ['C1', 'T17']
  },
  {
    name: 'A hand-posted key may contain letters that nobody sees',
    file: 'src/lib/formats.ts',
    find: '\\p{Default_Ignorable_Code_Point}]/u',
    replace: ']/u',
    test: HAND_POSTED,
    proves: ['C1', 'T17']
  },
  {
    name: 'A hand-posted key may contain line separators',
    file: 'src/lib/formats.ts',
    find: '\\p{Zl}\\p{Zp}\\p{Default',
    replace: '\\p{Default',
    test: HAND_POSTED,
    proves: ['C1', 'T17']
  },
  {
    name: 'A hand-posted key may contain slashes',
    file: 'src/lib/formats.ts',
    find: '    !SLASH.test(value) &&\n',
    replace: '',
    test: HAND_POSTED,
    proves: ['C1', 'T17']
  },
  {
    name: 'A hand-posted key may contain encoded slashes',
    file: 'src/lib/formats.ts',
    find: 'const SLASH = /[/\\\\]|%2f|%5c/i',
    replace: 'const SLASH = /[/\\\\]/i',
    test: HAND_POSTED,
    proves: ['C1', 'T17']
  },
  {
    name: 'A hand-posted key may be a dot segment',
    file: 'src/lib/formats.ts',
    find: '    !DOT_SEGMENT.test(value)\n',
    replace: "    value !== ''\n",
    test: HAND_POSTED,
    proves: ['C1', 'T17']
  },
  {
    name: 'A hand-posted key may be an encoded dot segment',
    file: 'src/lib/formats.ts',
    find: 'const DOT_SEGMENT = /^(\\.|%2e){1,2}$/i',
    replace: 'const DOT_SEGMENT = /^\\.{1,2}$/',
    test: HAND_POSTED,
    proves: ['C1', 'T17']
  },
  {
    name: 'A hand-posted key has no maximum length',
    file: 'src/lib/typebox.ts',
    find: "Type.String({ minLength: 1, maxLength, format: 'key', description, example })",
    replace: "Type.String({ minLength: 1, format: 'key', description, example })",
    test: HAND_POSTED,
    proves: ['C1', 'T17']
  },
  {
    name: 'An email address needs no dot in its domain',
    file: 'src/lib/formats.ts',
    find: '(\\.$' + '{LABEL})+$`',
    replace: '(\\.$' + '{LABEL})*$`',
    test: 'test/api/emails.test.ts',
    proves: ['C1']
  },
  {
    name: 'Text with unpaired surrogates is stored',
    file: 'src/lib/formats.ts',
    find: "return value.isWellFormed() && !value.includes('\\0')",
    replace: "return !value.includes('\\0')",
    test: TYPES,
    proves: ['C1']
  },
  {
    name: 'Unknown query parameters are ignored everywhere',
    file: 'plugins/validation.ts',
    find: '        additionalProperties: false\n',
    replace: '        additionalProperties: true\n',
    test: 'test/api/query-parameters.test.ts',
    proves: ['C1', 'T11']
  },
  {
    name: 'Unknown fields of a body are dropped, and the rest is stored',
    file: 'plugins/validation.ts',
    find: 'removeAdditional: false,',
    replace: 'removeAdditional: true,',
    test: PROBLEMS,
    proves: ['C1', 'T11']
  },
  {
    name: 'Values of a body are coerced',
    file: 'plugins/validation.ts',
    find: 'coerceTypes: false,',
    replace: 'coerceTypes: true,',
    test: TYPES,
    proves: ['C3', 'T12']
  },
  {
    name: 'A body is copied key by key, so that __proto__ sets its prototype',
    file: 'plugins/validation.ts',
    find: 'return [null, JSON.parse(body)]',
    replace: 'return [null, Object.assign({}, JSON.parse(body))]',
    test: TYPES,
    proves: ['T13']
  },
  {
    name: 'An id may have leading zeros',
    file: 'plugins/validation.ts',
    find: 'const INTEGER_PATTERN = /^(0|[1-9]\\d{0,15})$/',
    replace: 'const INTEGER_PATTERN = /^\\d{1,16}$/',
    test: 'test/api/ids.test.ts',
    proves: ['C4', 'T12']
  },
  {
    name: 'A path matches in capital letters too',
    file: 'src/http/problem.ts',
    find: 'ROUTER_OPTIONS = { ignoreTrailingSlash: true,',
    replace: 'ROUTER_OPTIONS = { ignoreTrailingSlash: true, caseSensitive: false,',
    test: 'test/fuzz/paths.test.ts',
    proves: ['C4']
  },
  {
    name: 'A path matches with several slashes in a row too',
    file: 'src/http/problem.ts',
    find: 'ROUTER_OPTIONS = { ignoreTrailingSlash: true,',
    replace: 'ROUTER_OPTIONS = { ignoreTrailingSlash: true, ignoreDuplicateSlashes: true,',
    test: 'test/fuzz/paths.test.ts',
    proves: ['C4']
  },
  {
    name: 'A body may be as large as the framework permits',
    file: 'src/app.ts',
    find: '    bodyLimit: MAX_BODY_BYTES,\n',
    replace: '',
    test: PROBLEMS,
    proves: ['C5']
  },
  {
    name: 'A compressed body is read as if it were not',
    file: 'plugins/validation.ts',
    find: "(request.headers['content-encoding'] ?? 'identity') !== 'identity'",
    replace: 'false',
    test: PROBLEMS,
    proves: ['C1', 'C5']
  },
  {
    name: 'Of several Host headers the first counts',
    file: 'src/http/request-source.ts',
    find: 'if (hostCount > 1) throw',
    replace: 'if (hostCount > 9) throw',
    test: RAW,
    proves: ['C9', 'T15']
  },
  {
    name: 'The framework answers bytes that are not HTTP',
    file: 'src/app.ts',
    find: '    },\n    clientErrorHandler\n  })',
    replace: '    }\n  })',
    test: RAW,
    proves: ['C9', 'T15']
  },
  {
    name: 'A request id may have any characters',
    file: 'src/app.ts',
    find: '/^[A-Za-z0-9._-]{1,64}$/.test(id)',
    replace: '/^.{1,64}$/.test(id)',
    test: REQUEST_IDS,
    proves: ['C8', 'T19']
  },
  {
    name: 'A request id may have any length',
    file: 'src/app.ts',
    find: '/^[A-Za-z0-9._-]{1,64}$/.test(id)',
    replace: '/^[A-Za-z0-9._-]+$/.test(id)',
    test: REQUEST_IDS,
    proves: ['C8', 'T19']
  },
  {
    name: 'A request id may be the name of a property that every object has',
    file: 'src/app.ts',
    find: ' && !(id in Object.prototype)',
    replace: '',
    test: REQUEST_IDS,
    proves: ['C8', 'T19']
  },
  {
    name: 'Values of query parameters that no route declares are logged',
    file: 'plugins/logging.ts',
    find: 'Object.hasOwn(properties, name) && !isSecretName(name)\n',
    replace: '!isSecretName(name)\n',
    test: 'test/log/events.test.ts',
    proves: ['T20']
  },
  {
    name: 'The reason for an internal error is in the answer',
    file: 'plugins/errors.ts',
    find: "new AppError('internal_error', 'Internal Server Error', { cause: error })",
    replace: "new AppError('internal_error', error.message, { cause: error })",
    test: PROBLEMS,
    proves: ['T25']
  },
  {
    name: 'Parts of a body that is refused are logged',
    file: 'src/http/problem.ts',
    find: "} else if (error.code === 'validation_failed' || error.code === 'invalid_json') {",
    replace: '} else if (false) {',
    test: 'test/api/problem-details.test.ts',
    proves: ['T25']
  },
  {
    name: 'A search reads % and _ as wildcards',
    file: 'src/store/sqlite/engine.ts',
    find: 'contains: (column, text) => sql`instr(lower($' + '{column}), $' + '{text}) > 0`',
    replace:
      'contains: (column, text) => sql`lower($' + "{column}) like '%' || $" + "{text} || '%'`",
    test: 'test/sync/hostile-items.long.ts',
    proves: ['T14']
  },
  {
    name: 'An id of an item may be any text in a path',
    file: 'src/providers/paging.ts',
    find: 'return /^\\d{1,20}$/.test(value)',
    replace: "return value !== ''",
    test: 'test/sync/hostile-items.long.ts',
    proves: ['T17']
  },
  {
    name: 'Errors have another content type than the document says',
    file: 'src/http/problem.ts',
    find: "type('application/problem+json').serializer",
    replace: "type('application/json').serializer",
    test: 'test/fuzz/contract.long.ts',
    proves: ['C2']
  },
  {
    name: 'A pattern takes quadratic time for slashes',
    file: 'src/providers/atlassian.ts',
    find: 'url.href.replace(/(?<!\\/)\\/+$/,',
    replace: 'url.href.replace(/\\/+$/,',
    test: 'test/fuzz/text.long.ts',
    proves: ['C14']
  },
  ...WEB_MUTATIONS
]
