/** The schemas of the bare routes: they validate and serialize what the service's schemas do. */
const text = { type: 'string' }
const textOrNull = { type: ['string', 'null'] }
const id = { type: 'integer' }
const limit = { type: 'integer', minimum: 1, maximum: 1000 }

const user = { type: 'object', properties: { id, email: text, display_name: textOrNull } }
const project = {
  type: 'object',
  properties: {
    id,
    owner_id: id,
    key: text,
    name: text,
    lead: textOrNull,
    url: textOrNull,
    source: text,
    site: textOrNull,
    updated_at: text
  }
}
const object = (properties: object) => ({ type: 'object', properties })

export const rootSchema = {
  response: {
    200: object({
      status: text,
      message: text,
      data: object({ service: text, health: text })
    })
  }
}
export const livezSchema = { response: { 200: object({ status: text }) } }
export const healthzSchema = {
  response: {
    200: object({
      status: text,
      checks: object({ database: text, migrations: text, vault_key: text, accepting: text })
    })
  }
}
export const getUserSchema = { params: object({ id }), response: { 200: user } }
export const listUsersSchema = {
  querystring: object({ limit: { ...limit, default: 1000 }, cursor: text }),
  response: { 200: { type: 'array', items: user } }
}
export const createUserSchema = {
  body: {
    type: 'object',
    required: ['email'],
    properties: {
      email: { type: 'string', maxLength: 254, format: 'email' },
      display_name: { ...textOrNull, maxLength: 200 }
    },
    additionalProperties: false
  },
  response: { 200: user, 201: user }
}
export const saveProjectSchema = {
  body: {
    type: 'object',
    required: ['owner_id', 'key', 'name'],
    properties: {
      owner_id: id,
      key: { type: 'string', maxLength: 64 },
      name: { type: 'string', maxLength: 255 }
    },
    additionalProperties: false
  },
  response: { 200: project, 201: project }
}
export const listProjectsSchema = {
  params: object({ owner: id }),
  querystring: object({ limit, cursor: text }),
  response: { 200: { type: 'array', items: project } }
}
export const changesSchema = {
  params: object({ id }),
  querystring: object({ collections: text, limit: { ...limit, default: 500 } })
}
export const loginSchema = { response: { 200: object({ url: text, provider: text }) } }
