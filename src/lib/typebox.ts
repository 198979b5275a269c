import { Type, type TSchema } from '@sinclair/typebox'

/** Schemas that products and routes share. */

export const Text = (maxLength: number, description: string, example: string) =>
  Type.String({ minLength: 1, maxLength, format: 'text', description, example })
export const Key = (maxLength: number, description: string, example: string) =>
  Type.String({ minLength: 1, maxLength, format: 'key', description, example })
export const OptionalText = (maxLength: number, description: string, example: string) =>
  Type.Optional(
    Type.Union([Type.Null(), Type.String({ maxLength, format: 'text', description, example })])
  )
export const Nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()])
export const Url = Type.String({
  maxLength: 2048,
  format: 'http-url',
  description: 'An http(s) link',
  example: 'https://acme.atlassian.net/browse/PAY'
})
