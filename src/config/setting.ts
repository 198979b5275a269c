import { Type, type TInteger, type TOptional, type TString } from '@sinclair/typebox'

/**
 * A text; optional without a default value.
 *
 * @param rule the error message after the variable's name, such as `must be …`
 * @param format the JSON Schema keywords that check it
 */
export function textSetting(rule: string, description: string, format?: object): TOptional<TString>
export function textSetting(
  rule: string,
  description: string,
  format: object,
  defaultValue: string
): TString
export function textSetting(rule: string, description: string, format = {}, defaultValue?: string) {
  return defaultValue === undefined
    ? Type.Optional(Type.String({ rule, description, ...format }))
    : Type.String({ rule, description, ...format, default: defaultValue })
}

export const URL_RULE = 'must be an http(s) address without credentials, query or fragment'
/** A base URL, to which paths are appended. */
export const urlSetting = (description: string) =>
  textSetting(URL_RULE, description, { format: 'web-url' })

/** A whole number; optional without a default value. */
export function integerSetting(description: string, min: number, max: number): TOptional<TInteger>
export function integerSetting(
  description: string,
  min: number,
  max: number,
  defaultValue: number
): TInteger
export function integerSetting(
  description: string,
  minimum: number,
  maximum: number,
  defaultValue?: number
) {
  const options = {
    rule: `must be a whole number from ${minimum} to ${maximum}`,
    description,
    minimum,
    maximum
  }
  return defaultValue === undefined
    ? Type.Optional(Type.Integer(options))
    : Type.Integer({ ...options, default: defaultValue })
}
