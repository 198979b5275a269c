import { suite } from './suite.ts'

suite('haproxy')
