import { createHash, randomBytes, randomUUID } from 'node:crypto'
import Fastify, { LogController, type FastifyBaseLogger, type FastifyRequest } from 'fastify'
import { pino } from 'pino'
import { openBareDatabase } from './bare-database.ts'
import { OAUTH_CLIENT } from './seed.ts'
import { getFolderArgument, runSubject } from './serve.ts'

/** The same responses from Fastify alone, with raw statements and the same log lines. */
const TEN_MINUTES_MS = 600_000
const HOUR_MS = 3_600_000

const scope = encodeURIComponent(OAUTH_CLIENT.scopes)
const redirectUri = encodeURIComponent(OAUTH_CLIENT.redirectUri)
const authorizeUrlPrefix =
  `${OAUTH_CLIENT.authorizeUrl}?audience=api.atlassian.com&client_id=${OAUTH_CLIENT.id}` +
  `&scope=${scope}&redirect_uri=${redirectUri}&state=`

const db = openBareDatabase(`${getFolderArgument()}/bare.db`)
const logger = pino({
  base: { logger: 'connector' },
  messageKey: 'message',
  timestamp: () => `,"timestamp":"${new Date().toISOString()}"`,
  formatters: { level: (level) => ({ level }) }
})
const app = Fastify({
  loggerInstance: logger as FastifyBaseLogger,
  logController: new LogController({
    disableRequestLogging: true,
    requestIdLogLabel: 'request_id'
  }),
  genReqId: () => randomUUID()
})

const text = { type: 'string' }
const textOrNull = { type: ['string', 'null'] }
const id = { type: 'integer' }
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

app.addHook('onResponse', async (request, reply) => {
  request.log.info({
    event: 'request_completed',
    ...describeRequest(request),
    status_code: reply.statusCode,
    duration_ms: Math.round(reply.elapsedTime * 10) / 10
  })
})

app.get<{ Params: { id: number } }>(
  '/users/:id',
  {
    schema: { params: { type: 'object', properties: { id } }, response: { 200: user } }
  },
  async ({ params }, reply) => {
    const row = db.user.get(params.id)
    if (row === undefined) return await reply.code(404).send({ detail: 'No user has this id.' })
    return row
  }
)

app.post<{ Body: { email: string; display_name?: string | null } }>(
  '/users',
  {
    schema: {
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
  },
  async ({ body: { email, display_name: name = null } }, reply) => {
    const key = email.toLowerCase()
    // get() stops at the first row; a write that is not stepped to its end never checkpoints the WAL.
    const [created] = db.insertUser.all(email, key, name, Date.now())
    return await reply
      .code(created === undefined ? 200 : 201)
      .send(created ?? db.userByKey.get(key))
  }
)

app.get<{ Params: { owner: number }; Querystring: { limit: number } }>(
  '/jira/projects/:owner',
  {
    schema: {
      params: { type: 'object', properties: { owner: id } },
      querystring: {
        type: 'object',
        properties: { limit: { type: 'integer', minimum: 1, maximum: 1000, default: 1000 } }
      },
      response: { 200: { type: 'array', items: project } }
    }
  },
  async ({ params: { owner }, query: { limit } }, reply) => {
    if (db.user.get(owner) === undefined) {
      return await reply.code(404).send({ detail: 'No user has this id.' })
    }
    return db.listProjects(owner, limit)
  }
)

app.get(
  '/auth/jira/login',
  {
    schema: { response: { 200: { type: 'object', properties: { url: text, provider: text } } } }
  },
  async (request) => {
    request.log.info({ event: 'oauth_login_start', provider: 'jira', ...describeRequest(request) })
    const state = randomBytes(32).toString('base64url')
    const stateHash = createHash('sha256').update(state).digest('base64url')
    db.sweepFlows.run(Date.now() - HOUR_MS)
    db.insertFlow.run(
      stateHash,
      'jira',
      OAUTH_CLIENT.id,
      OAUTH_CLIENT.redirectUri,
      Date.now() + TEN_MINUTES_MS
    )
    return {
      url: `${authorizeUrlPrefix}${state}&response_type=code&prompt=consent`,
      provider: 'jira'
    }
  }
)

await runSubject(app)

function describeRequest({ method, url, query, headers }: FastifyRequest) {
  const end = url.indexOf('?')
  return {
    method,
    path: end === -1 ? url : url.slice(0, end),
    query_params: query,
    headers: { 'user-agent': headers['user-agent'] }
  }
}
