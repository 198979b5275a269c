import { defineProxySuite } from './suite.ts'

defineProxySuite('haproxy')
