export interface SandboxUser {
  accountId: string
  name: string
  nickname: string
  email: string
  /** IANA name; JQL and CQL interpret dates in it. */
  timeZone: string
  locale: string
}

export const DANA: SandboxUser = {
  accountId: '712020:1c2d3e4f-0000-4000-8000-aabbccddeeff',
  name: 'Dana Fox',
  nickname: 'dana',
  email: 'dana@example.com',
  timeZone: 'Europe/Riga',
  locale: 'en-US'
}

export const SAM: SandboxUser = {
  accountId: '712020:9f8e7d6c-0000-4000-8000-001122334455',
  name: 'Sam Reed',
  nickname: 'sam',
  email: 'sam@example.com',
  timeZone: 'America/New_York',
  locale: 'en-US'
}

/** A deactivated user who is still the lead of some projects and cannot log in. */
export const FORMER_USER: SandboxUser = {
  accountId: '557058:00000000-dead-4000-8000-000000000000',
  name: 'Former user',
  nickname: 'former',
  email: 'gone@example.com',
  timeZone: 'Etc/UTC',
  locale: 'en-US'
}
