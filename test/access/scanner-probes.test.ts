import t from 'tap'
import { buildTestApp } from '../helper.ts'
import { PROTECTED_ENV } from './helper.ts'

/** Paths that scanners request first. */
const PROBE_PATHS = `
/metrics /metrics/ /prometheus /actuator /actuator/env /actuator/health /actuator/heapdump /status
/server-status /server-info /info /version /env /config /config.json /debug /debug/pprof /debug/vars
/debug/requests /trace /heapdump /threaddump /dump /logs /log /admin /admin/ /administrator /console
/manager/html /docs /docs/ /docs/json /docs/yaml /docs/static/index.html /openapi.json /openapi.yaml
/swagger /swagger.json /swagger-ui.html /api-docs /v2/api-docs /v3/api-docs /redoc /graphql
/graphiql /.env /.env.local /.git/config /.git/HEAD /.npmrc /.aws/credentials /.vault-keys.dev
/package.json /package-lock.json /node_modules/fastify/package.json /src/server.ts /src/main.js
/integration.db /integration.db-wal /backup.sql /dump.sql /.well-known/openid-configuration
/json/version /json/list /phpinfo.php /wp-login.php /sandbox /sandbox/admin/state /health
/healthz/full /audit /users /health/oauth /connect-sessions
`
  .trim()
  .split(/\s+/)

t.test(
  `T39 In production, none of ${PROBE_PATHS.length} paths that scanners probe answers without a credential`,
  async (t) => {
    const { app } = await buildTestApp(t, { APP_ENV: 'production', ...PROTECTED_ENV })
    for (const path of PROBE_PATHS.flatMap((path) => [path, `/api${path}`])) {
      for (const method of ['GET', 'HEAD', 'POST', 'OPTIONS', 'PUT'] as const) {
        const { statusCode, headers, body } = await app.inject({ method, url: path })
        t.ok(
          [401, 404, 405].includes(statusCode) || (method === 'OPTIONS' && statusCode === 204),
          `${method} ${path}: ${statusCode}`
        )
        if (method === 'GET') t.match(headers['content-type'], /^application\/problem\+json/, path)
        t.notMatch(
          body,
          /fastify|sqlite|postgres|node_modules|<html|"version"/i,
          `${method} ${path}`
        )
      }
    }
  }
)
