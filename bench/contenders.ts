import { join } from 'node:path'
import type { CpuAssignment } from './cpu-pinning.ts'
import type { BenchmarkDatabases } from './databases.ts'
import { SETUPS, type Credentials, type Scenario } from './scenarios.ts'
import { startSubject, type BenchmarkSubject } from './subject.ts'
import { assertSameAnswers } from './verify-same-answers.ts'

/** A server under a certain setup; the same for all scenarios that name it. */
export interface ContenderSpec {
  label: string
  program: 'service' | 'bare'
  setup: keyof typeof SETUPS
  /** Settings in addition to those of the setup. */
  settings?: Record<string, string>
}

/** What a scenario measures, and what it is compared with. */
export interface ContenderPair {
  subject: ContenderSpec
  baseline: ContenderSpec
}

/** @param against a setting of the service that is compared with itself: `NAME=value` */
export function selectContenders(
  { setup = 'open', baseline }: Scenario,
  against: string | undefined
): ContenderPair {
  const subject = { label: 'service', program: 'service', setup } as const
  if (against !== undefined) {
    const [name = '', ...value] = against.split('=')
    const settings = { [name]: value.join('=') }
    return { subject, baseline: { ...subject, label: against, settings } }
  }
  return {
    subject,
    baseline:
      baseline === undefined
        ? { label: 'bare', program: 'bare', setup }
        : {
            label: `service, ${SETUPS[baseline].userCount} users`,
            program: 'service',
            setup: baseline
          }
  }
}

/** Starts contenders when a scenario needs them, each on a database of its own. */
export function createContenders(
  databases: BenchmarkDatabases,
  credentials: Credentials,
  cores: CpuAssignment | undefined
) {
  const urls = new Map<string, string>()
  const running = new Map<string, BenchmarkSubject>()
  const verifiedPairs = new Set<string>()
  const toKey = ({ label, program, setup }: ContenderSpec) =>
    `${program}_${setup}${program === 'service' && label !== 'service' ? `_${label}` : ''}`

  async function start(spec: ContenderSpec, logFile?: string): Promise<BenchmarkSubject> {
    const key = toKey(spec)
    const url = urls.get(key) ?? (await databases.create(key.replaceAll(/\W/g, '_').toLowerCase()))
    urls.set(key, url)
    const { userCount, settings } = SETUPS[spec.setup]
    return await startSubject(
      spec.program,
      {
        databaseUrl: url,
        vaultKeys: databases.vaultKeys,
        userCount,
        settings: { ...settings(credentials), ...spec.settings }
      },
      cores,
      logFile
    )
  }

  return {
    async get(spec: ContenderSpec): Promise<BenchmarkSubject> {
      const key = toKey(spec)
      const subject = running.get(key) ?? (await start(spec))
      running.set(key, subject)
      return subject
    },

    /**
     * Lets a service and a bare server answer every scenario of the pair, once for each pair. Their log
     * lines go to files for it, so these are processes of their own.
     */
    async verify(pair: ContenderPair, pairScenarios: readonly Scenario[]): Promise<void> {
      const specs = [pair.subject, pair.baseline]
      const id = specs.map(toKey).join()
      if (pair.baseline.program !== 'bare' || verifiedPairs.has(id)) return
      verifiedPairs.add(id)
      const logged = await Promise.all(
        specs.map(async (spec) => {
          const logFile = join(databases.folder, `${toKey(spec)}.log`)
          return { logFile, subject: await start(spec, logFile) }
        })
      )
      try {
        for (const scenario of pairScenarios) {
          await assertSameAnswers(
            scenario.title,
            await Promise.all(
              logged.map(async (each) => {
                const [request] = await scenario.getRequests(each.subject, credentials)
                return { ...each, request }
              })
            )
          )
        }
      } finally {
        await Promise.all(logged.map(async ({ subject }) => await subject.stop()))
      }
    },

    /** Stops those that no further scenario needs: even an idle one takes some time of the core. */
    async keepOnly(needed: readonly ContenderSpec[]): Promise<void> {
      const keys = needed.map(toKey)
      const unneeded = [...running].filter(([key]) => !keys.includes(key))
      for (const [key] of unneeded) running.delete(key)
      await Promise.all(unneeded.map(async ([, subject]) => await subject.stop()))
    }
  }
}
