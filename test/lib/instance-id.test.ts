import t from 'tap'
import { createInstanceId, instanceId } from '../../src/lib/instance-id.ts'

t.test('an instance id names the machine and differs for each process', async (t) => {
  t.match(createInstanceId('web-1'), /^web-1-[0-9a-f]{6}$/)
  t.not(createInstanceId('web-1'), createInstanceId('web-1'))
  t.match(instanceId, /^[\w.-]{8,47}$/)
})

t.test('an instance id contains no other characters, whatever the machine is called', async (t) => {
  t.match(createInstanceId('wéb 1\n"'), /^wb1-[0-9a-f]{6}$/)
  t.match(createInstanceId('é'), /^instance-[0-9a-f]{6}$/)
  t.match(createInstanceId('a'.repeat(250)), /^a{40}-[0-9a-f]{6}$/)
})
