import type { Mutation } from './mutation.ts'

/** Defences against somebody who can write to the database (SECURITY.md). */
export const DATABASE_MUTATIONS: readonly Mutation[] = [
  {
    name: 'Audit rows are not chained',
    file: 'src/store/audit-chain.ts',
    find: '[previousHash, ...HASHED_FIELDS',
    replace: "['', ...HASHED_FIELDS",
    test: 'test/audit/chain.test.ts',
    proves: ['T18']
  },
  {
    name: 'The end of the trail is not verified',
    file: 'src/store/audit-chain.ts',
    find: '      if (!isHeadSigned(signer, head)) {',
    replace: '      if (head.seq < 0) {',
    test: 'test/audit/chain.test.ts',
    proves: ['T18']
  },
  {
    name: 'A purge needs no entry',
    file: 'src/store/audit-chain.ts',
    find: '  let isPurgeNoted = prunedSeq === 0',
    replace: '  let isPurgeNoted = true',
    test: 'test/audit/chain.test.ts',
    proves: ['T18']
  },
  {
    name: 'The service appends to a trail that somebody has cut',
    file: 'src/store/repositories/audit-append.ts',
    find: '    const note = isHeadTrusted ? undefined : link.state.foreignHeadEntry',
    replace: '    const note = seq < 0 ? link.state.foreignHeadEntry : undefined',
    test: 'test/audit/head.test.ts',
    proves: ['T18']
  },
  {
    name: 'A running service does not compare the trail with what it wrote last',
    file: 'src/store/repositories/audit-append.ts',
    find: '      if (anchor.count > latest.count) latest = anchor',
    replace: '      if (anchor.count < latest.count) latest = anchor',
    test: 'test/audit/head.test.ts',
    proves: ['T18']
  },
  {
    name: 'Signatures of connections are not verified',
    file: 'src/store/repositories/connection-signatures.ts',
    find: "  return signer.isValid('connection', serializeColumns(columns), signature)",
    replace: "  return signer.isValid('connection', serializeColumns(columns), signature) || true",
    test: 'test/connections/altered.test.ts',
    proves: ['T09']
  },
  {
    name: 'The grant of a connection is not signed',
    file: 'src/store/repositories/connection-signatures.ts',
    find: 'JSON.stringify([userId, provider, grantId, sites,',
    replace: 'JSON.stringify([userId, provider, grantId.slice(0, 0), sites,',
    test: 'test/connections/altered.test.ts',
    proves: ['T09']
  },
  {
    name: 'A start signs whatever has no signature',
    file: 'src/grants/sign-existing-rows.ts',
    find: '        isLegacyEnvelope(accessToken) &&\n',
    replace: '',
    test: 'test/audit/upgrade.test.ts',
    proves: ['T09', 'T18']
  },
  {
    name: 'A change is answered before the receiver of the anchors has it',
    file: 'plugins/audit-anchor.ts',
    find: 'if (auditedCount > 0) await',
    replace: 'if (auditedCount < 0) await',
    test: 'test/audit/anchor.test.ts',
    proves: ['T18']
  }
]
