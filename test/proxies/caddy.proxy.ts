import { defineRollingRestart } from './rolling-restart.ts'
import { defineProxySuite } from './suite.ts'

defineProxySuite('caddy')
defineRollingRestart('caddy')
