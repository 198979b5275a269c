import { monitorEventLoopDelay } from 'node:perf_hooks'
import { getHeapStatistics } from 'node:v8'

const RESOLUTION_MS = 10

interface PressureLimits {
  maxEventLoopDelayMs: number
  /** Share of the process's heap limit. */
  maxHeapRatio: number
  sampleIntervalMs: number
}

interface Pressure {
  reason: 'eventLoopDelay' | 'heapUsedBytes'
  value: number
}

/**
 * Samples what shows that the process has too much to do. Needs no descriptor:
 * `process.memoryUsage` reads /proc and throws if there is none left.
 */
export function createPressureGauge({
  maxEventLoopDelayMs,
  maxHeapRatio,
  sampleIntervalMs
}: PressureLimits): { getPressure: () => Pressure | undefined; stop: () => void } {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  histogram.enable()
  let pressure: Pressure | undefined
  const timer = setInterval(() => {
    // No sample in the interval: the event loop had no turn.
    const meanMs = Number.isNaN(histogram.mean) ? Infinity : histogram.mean / 1e6
    const delayMs = Math.max(0, meanMs - RESOLUTION_MS)
    histogram.reset()
    const { used_heap_size: usedBytes, heap_size_limit: limitBytes } = getHeapStatistics()
    if (delayMs > maxEventLoopDelayMs) pressure = { reason: 'eventLoopDelay', value: delayMs }
    else if (usedBytes > limitBytes * maxHeapRatio) {
      pressure = { reason: 'heapUsedBytes', value: usedBytes }
    } else pressure = undefined
  }, sampleIntervalMs).unref()
  return {
    getPressure: () => pressure,
    stop() {
      clearInterval(timer)
      histogram.disable()
    }
  }
}
