import { readFileSync } from 'node:fs'
import type { ServiceProcess } from './child.ts'

/** The resident memory of a process in MB. */
export const readRssMb = ({ pid }: ServiceProcess) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
