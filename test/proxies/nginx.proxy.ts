import { defineProxySuite } from './suite.ts'

defineProxySuite('nginx')
