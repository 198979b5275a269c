# The service as an image: docs/operations/install-for-production.md#docker.
# Node of the version that package-lock.json pins for npm installs. For production replace the tag by its
# digest (node:24.22.3-bookworm-slim@sha256:…), and update it with Node's security releases.
ARG NODE_IMAGE=node:24.22.3-bookworm-slim

# Builds dist/, which takes the development packages.
FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
# For the start line: the context has no repository to ask.
ARG SOURCE_COMMIT
RUN node scripts/build.js

# Production packages only. The image brings Node, so the optional packages with Node are left out.
FROM ${NODE_IMAGE} AS packages
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund

FROM ${NODE_IMAGE}
ENV APP_ENV=production \
    HOST=0.0.0.0 \
    PORT=3001
WORKDIR /app
COPY --from=packages /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json LICENSE ./
# A number, so that Kubernetes can check runAsNonRoot. Only this user can enter the folder of the database.
RUN mkdir --mode=0700 /data && chown 10001:10001 /data
USER 10001:10001
VOLUME /data
EXPOSE 3001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/livez`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# Node is process 1 and gets SIGTERM itself. Commands are arguments: docker run … connector keys list
ENTRYPOINT ["node", "--disable-sigusr1", "--max-semi-space-size=4", "/app/dist/main.js"]
