import { parentPort, workerData } from 'node:worker_threads'
import { openWriter, type Insert } from './writer.ts'

/** The thread of `bench:writers`: commits each batch that it gets, and tells when it is stored. */
const { path } = workerData as { path: string }
const commitBatch = openWriter(path)
parentPort?.on('message', (batch: Insert[]) => {
  parentPort?.postMessage(commitBatch(batch))
})
parentPort?.postMessage('ready')
