import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../../', import.meta.url))
export const readRootFile = (path: string) => readFileSync(`${ROOT}${path}`, 'utf8')

interface Instruction {
  verb: string
  args: string
}

export interface Stage {
  /** Undefined for the last one, which is the image. */
  name: string | undefined
  instructions: Instruction[]
}

/** Reads the Dockerfile: each FROM begins a stage. */
export function parseDockerfile(): { nodeImage: string; stages: Stage[] } {
  const instructions = readRootFile('Dockerfile')
    .replace(/^#.*\n/gm, '')
    .replace(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [, verb = '', args = ''] = /^(\w+)\s+(.*)$/.exec(line) ?? []
      return { verb, args: args.trim() }
    })
  const stages: Stage[] = []
  let nodeImage = ''
  for (const instruction of instructions) {
    const stage = stages.at(-1)
    if (instruction.verb === 'FROM') {
      stages.push({ name: / AS (\w+)$/.exec(instruction.args)?.[1], instructions: [] })
    } else if (stage === undefined) nodeImage = instruction.args.replace('NODE_IMAGE=', '')
    else stage.instructions.push(instruction)
  }
  return { nodeImage, stages }
}

/** What the image's last stage says of the container. */
export function readImage() {
  const { instructions } = parseDockerfile().stages.at(-1) as Stage
  const find = (verb: string) => instructions.find((each) => each.verb === verb)?.args ?? ''
  const env = find('ENV')
    .split(/\s+/)
    .map((pair) => pair.split('=') as [string, string])
  return {
    env: Object.fromEntries(env),
    user: find('USER'),
    stopSignal: find('STOPSIGNAL'),
    volume: find('VOLUME'),
    port: find('EXPOSE'),
    entrypoint: JSON.parse(find('ENTRYPOINT')) as string[],
    healthCheck: JSON.parse(find('HEALTHCHECK').replace(/^.* CMD /, '')) as string[]
  }
}

/** What .dockerignore lets into the build, by the entries of the root folder that it names. */
export function listContext(): string[] {
  const lines = readRootFile('.dockerignore')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
  return lines.filter((line) => line.startsWith('!')).map((line) => line.slice(1))
}
