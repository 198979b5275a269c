import { defineRollingRestart } from './rolling-restart.ts'
import { defineProxySuite } from './suite.ts'

defineProxySuite('haproxy')
defineRollingRestart('haproxy')
