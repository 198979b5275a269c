import { SerializerSelector } from '@fastify/fast-json-stringify-compiler'
import fp from 'fastify-plugin'
import { createLazyCompiler } from '../src/http/compile-cache.ts'

const compile = SerializerSelector()({}, { ajv: { meta: false } })
const lazySerializer = createLazyCompiler((schema) =>
  compile({ schema, method: '', url: '', httpStatus: '' })
)

/** Serializes responses with Fastify's own compiler, which compiles each schema on its first use. */
export default fp(
  async (app) => {
    app.setSerializerCompiler(({ schema }) => {
      const getSerializer = lazySerializer(schema as object)
      return (data) => getSerializer()(data)
    })
  },
  { name: 'serializer', dependencies: ['config'] }
)
