import { defineRollingRestart } from './rolling-restart.ts'
import { defineProxySuite } from './suite.ts'

defineProxySuite('nginx')
defineRollingRestart('nginx')
