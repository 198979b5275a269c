import t from 'tap'
import { listFixtures, listMigrations } from './fixture.ts'

for (const engine of ['sqlite', 'postgres'] as const) {
  t.test(`Every version of the tables has a fixture for upgrades (${engine})`, async (t) => {
    const fixtures = listFixtures(engine)
    t.same(
      fixtures.map(({ version }) => version),
      listMigrations(engine),
      'A new migration needs one: run `npm run fixtures:upgrade`, and commit the file.'
    )
    for (const [i, { version, migrations, sql }] of fixtures.entries()) {
      t.equal(migrations.length, i + 1, version)
      t.match(sql, /^insert into "grants" .*'v\d\.fixture\./m, `${version} has encrypted tokens`)
    }
  })
}
