import { createHash, randomBytes, randomUUID } from 'node:crypto'
import Fastify, {
  LogController,
  type FastifyBaseLogger,
  type FastifyReply,
  type FastifyRequest
} from 'fastify'
import { pino } from 'pino'
import { openBareDatabase, type BareRow } from './bare-database.ts'
import * as schemas from './bare-schemas.ts'
import { OAUTH_CLIENT, seedDatabase } from './seed.ts'
import { getSubjectOptions, runSubject } from './serve.ts'

/** The same responses from Fastify alone, with raw statements and the same log lines. */
const FIRST = ['', 0] as const

const scope = encodeURIComponent(OAUTH_CLIENT.scopes)
const redirectUri = encodeURIComponent(OAUTH_CLIENT.redirectUri)
const authorizeUrlPrefix =
  `${OAUTH_CLIENT.authorizeUrl}?audience=api.atlassian.com&client_id=${OAUTH_CLIENT.id}` +
  `&scope=${scope}&redirect_uri=${redirectUri}&state=`

const { databaseUrl, userCount, settings } = getSubjectOptions()
const db = await openBareDatabase(databaseUrl)
await seedDatabase(databaseUrl, userCount)
const logger = pino({
  base: { logger: 'connector', instance: randomUUID().slice(0, 8) },
  level: settings.LOG_LEVEL ?? 'info',
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
/** As the service: the level of the line about a health check. */
const HEALTH = { config: { isHealth: true } }

app.addHook('onResponse', async (request, reply) => {
  const { isHealth } = request.routeOptions.config as { isHealth?: boolean }
  request.log[isHealth === true ? 'debug' : 'info']({
    ...describeRequest(request),
    event: 'request_completed',
    status_code: reply.statusCode,
    duration_ms: Math.round(reply.elapsedTime * 10) / 10,
    bytes_sent: Number(reply.getHeader('content-length')),
    caller: 'anonymous',
    client_address: request.ip
  })
})
const { findKey, findIdentity } = db
if (settings.API_ACCESS === 'protected' && findKey !== undefined && findIdentity !== undefined) {
  // The statement by which the service finds out who asks, without what it decides by it.
  app.addHook('onRequest', async ({ headers: { authorization = '' } }) => {
    const token = authorization.slice('Bearer '.length)
    if (token === settings.BOOTSTRAP_API_KEY) {
      await findKey(createHash('sha256').update(token).digest('base64url'))
    } else await findIdentity(settings.JWT_ISSUER ?? '', 'person-1')
  })
}
app.addHook('onClose', async () => {
  await db.close()
})

app.get('/', { ...HEALTH, schema: schemas.rootSchema }, async () => ({
  status: 'success',
  message: 'service healthy',
  data: { service: 'integration_backend', health: 'healthy' }
}))
app.get('/livez', { ...HEALTH, schema: schemas.livezSchema }, async () => ({ status: 'ok' }))
app.get('/healthz', { ...HEALTH, schema: schemas.healthzSchema }, async () => ({
  status: 'ok',
  checks: { database: 'ok', migrations: 'ok', vault_key: 'ok', accepting: 'ok' }
}))

app.get<{ Params: { id: number } }>(
  '/users/:id',
  { schema: schemas.getUserSchema },
  async ({ params }, reply) => (await db.getUser(params.id)) ?? (await sendUnknownUser(reply))
)

app.get<{ Querystring: { limit: number; cursor?: string } }>(
  '/users',
  { schema: schemas.listUsersSchema },
  async ({ query: { limit, cursor } }, reply) => {
    const rows = await db.listUsers(cursor === undefined ? 0 : Number(cursor), limit + 1)
    return cutPage(rows, limit, reply, ({ id }) => String(id))
  }
)

app.post<{ Body: { email: string; display_name?: string | null } }>(
  '/users',
  { schema: schemas.createUserSchema },
  async ({ body: { email, display_name: name = null } }, reply) => {
    const key = email.toLowerCase()
    const created = await db.createUser(email, key, name)
    return await reply
      .code(created === undefined ? 200 : 201)
      .send(created ?? (await db.getUserByKey(key)))
  }
)

app.post<{ Body: { owner_id: number; key: string; name: string } }>(
  '/jira/projects',
  { schema: schemas.saveProjectSchema },
  async ({ body: { owner_id: owner, key, name } }, reply) => {
    const row = await db.saveProject(owner, key, name)
    return await reply.code(row.revision === 1 ? 201 : 200).send(row)
  }
)

app.get<{ Params: { owner: number }; Querystring: { limit?: number; cursor?: string } }>(
  '/jira/projects/:owner',
  { schema: schemas.listProjectsSchema },
  async ({ params: { owner }, query: { limit = Infinity, cursor } }, reply) => {
    if ((await db.getUser(owner)) === undefined) return await sendUnknownUser(reply)
    const after =
      cursor === undefined
        ? FIRST
        : (JSON.parse(Buffer.from(cursor, 'base64url').toString()) as [string, number])
    await db.readListState?.(owner)
    const rows = await db.listProjects(owner, Math.min(limit + 1, Number.MAX_SAFE_INTEGER), after)
    return cutPage(rows, limit, reply, ({ key, id }) =>
      Buffer.from(JSON.stringify([key, id])).toString('base64url')
    )
  }
)

app.get<{ Params: { id: number }; Querystring: { limit: number } }>(
  '/users/:id/changes',
  { schema: schemas.changesSchema, serializerCompiler: () => JSON.stringify },
  async ({ params: { id: owner }, query: { limit } }, reply) => {
    if ((await db.getUser(owner)) === undefined) return await sendUnknownUser(reply)
    const rows = await db.listChanges(owner, limit + 1)
    const changes = rows.slice(0, limit).map(({ remote_id: remoteId, ...item }) => ({
      collection: 'projects',
      op: 'upsert',
      id: item.id,
      remote_id: remoteId,
      site: item.site,
      item
    }))
    return { changes, next: String(limit), more: rows.length > limit }
  }
)

app.get('/auth/jira/login', { schema: schemas.loginSchema }, async (request) => {
  request.log.info({
    provider: 'jira',
    event: 'oauth_login_start',
    ...describeRequest(request)
  })
  const state = randomBytes(32).toString('base64url')
  await db.startLogin(createHash('sha256').update(state).digest('base64url'))
  return {
    url: `${authorizeUrlPrefix}${state}&response_type=code&prompt=consent`,
    provider: 'jira'
  }
})

await runSubject(app)

async function sendUnknownUser(reply: FastifyReply): Promise<never> {
  return (await reply.code(404).send({ detail: 'No user has this id.' })) as never
}

/** Cuts rows to a page, with a `Link` header where there are more. */
function cutPage(
  rows: BareRow[],
  limit: number,
  reply: FastifyReply,
  toCursor: (row: BareRow) => string
): BareRow[] {
  const last = rows.length > limit ? rows[limit - 1] : undefined
  if (last === undefined) return rows
  reply.header('link', `<?limit=${limit}&cursor=${toCursor(last)}>; rel="next"`)
  return rows.slice(0, limit)
}

function describeRequest({ method, url, query, headers }: FastifyRequest) {
  const end = url.indexOf('?')
  return {
    method,
    path: end === -1 ? url : url.slice(0, end),
    query_params: query,
    headers: { 'user-agent': headers['user-agent'] }
  }
}
