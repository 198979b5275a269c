import { readRootFile } from './dockerfile.ts'

export const UNIT_PATH = 'packaging/systemd/connector.service'

/** The assignments of the systemd unit, in order; a name can occur several times. */
function readUnit(): Array<[name: string, value: string]> {
  return readRootFile(UNIT_PATH)
    .split('\n')
    .flatMap((line) => {
      const [, name, value] = /^(\w+)=(.*)$/.exec(line) ?? []
      return name === undefined || value === undefined ? [] : [[name, value] as [string, string]]
    })
}

export const listUnitValues = (name: string) =>
  readUnit()
    .filter(([each]) => each === name)
    .map(([, value]) => value)
