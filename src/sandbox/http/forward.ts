import type { FastifyReply, FastifyRequest } from 'fastify'
import { request as send } from 'undici'
import type { Seat } from '../../seat.ts'

/** Says that a request has been handed on already: nobody hands it on again. */
const HANDED_ON = 'x-sandbox-handed-on'
/** What is about one connection and not about the message (RFC 9110 section 7.6.1). */
const HOP_BY_HOP = [
  'connection',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
  'te',
  'trailer',
  'proxy-authorization',
  'proxy-connection'
]

/** Hands a request on to the instance that has the sandbox, where that is another one. */
export function handOn(seat: Seat) {
  return async (
    request: FastifyRequest,
    reply: FastifyReply
  ): Promise<FastifyReply | undefined> => {
    const elsewhere = request.headers[HANDED_ON] === undefined ? await seat.whereElse() : undefined
    if (elsewhere === undefined) return undefined
    const hasBody =
      request.headers['content-length'] !== undefined ||
      request.headers['transfer-encoding'] !== undefined
    const answer = await send(elsewhere + request.raw.url, {
      method: request.raw.method as 'GET',
      headers: { ...passed(request.headers), [HANDED_ON]: '1' },
      body: hasBody ? request.raw : null
    })
    return await reply.code(answer.statusCode).headers(passed(answer.headers)).send(answer.body)
  }
}

function passed(headers: NodeJS.Dict<string | string[]>): Record<string, string | string[]> {
  return Object.fromEntries(
    Object.entries(headers).filter(
      (entry): entry is [string, string | string[]] =>
        entry[1] !== undefined && !HOP_BY_HOP.includes(entry[0])
    )
  )
}
