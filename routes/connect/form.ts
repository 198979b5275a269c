import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { AppError } from '../../src/lib/errors.ts'
import { hashSecret, isSameHash, randomToken } from '../../src/lib/secret.ts'
import { SESSION_TTL_MS } from '../../src/store/repositories/connect-sessions.ts'

const SECRET_PATTERN = /^[\w-]{43}$/

/**
 * Binds the forms of pages to the browser that was served the page: a cookie holds a secret, and
 * the form holds its hash. Another site knows neither, and its forms do not send the cookie.
 */
export function createFormBinding({ sessionCookie: { secure } }: FastifyInstance) {
  const name = `${secure ? '__Host-' : ''}connect-page`
  const readSecret = ({ cookies }: FastifyRequest) => {
    const secret = cookies[name]
    return secret !== undefined && SECRET_PATTERN.test(secret) ? secret : undefined
  }
  return {
    /** Returns the token for the forms of a page. Pages in other tabs stay valid. */
    createToken(request: FastifyRequest, reply: FastifyReply): string {
      const secret = readSecret(request) ?? randomToken()
      reply.setCookie(name, secret, {
        path: '/',
        httpOnly: true,
        sameSite: 'strict',
        secure,
        maxAge: SESSION_TTL_MS / 1000
      })
      return deriveFormToken(secret)
    },

    /**
     * Reads a form that this browser was served.
     *
     * @throws AppError `forbidden` for any other form
     */
    readForm(request: FastifyRequest): URLSearchParams {
      const form = request.body instanceof URLSearchParams ? request.body : new URLSearchParams()
      const secret = readSecret(request)
      if (
        secret === undefined ||
        !isSameHash(deriveFormToken(secret), form.get('form_token') ?? '')
      ) {
        throw new AppError('forbidden', 'This page has expired. Open the link once more.')
      }
      return form
    }
  }
}

function deriveFormToken(secret: string): string {
  return hashSecret(`form ${secret}`)
}
