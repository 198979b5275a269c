import { SerializerSelector } from '@fastify/fast-json-stringify-compiler'
import fp from 'fastify-plugin'
import { memoizeBySchema } from '../src/http/compile-cache.ts'

/** Answers are written by Fastify's own compiler, which is asked once for each schema. */
export default fp(
  async (app) => {
    const compile = SerializerSelector()({}, {})
    const serializer = memoizeBySchema((schema) =>
      compile({ schema, method: '', url: '', httpStatus: '' })
    )
    app.setSerializerCompiler(({ schema }) => serializer(schema as object))
  },
  { name: 'serializer', dependencies: ['config'] }
)
