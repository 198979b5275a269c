/**
 * The pages of docs/operations whose commands are run by the tests of this folder;
 * test/store/admin/restore-drill.long.ts runs those of restore.md.
 */
export const FOLLOWED_PAGES = [
  'add-an-instance.md',
  'health.md',
  'install-for-production.md',
  'look-at-the-fleet.md',
  'restore.md',
  'rolling-restart.md',
  'rotate-a-key.md',
  'runbooks.md',
  'stop.md',
  'upgrade.md'
] as const
