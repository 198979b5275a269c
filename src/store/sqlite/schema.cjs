/** The tables as drizzle-kit reads them: as exports of a module. */
const { columns } = require('../../../drizzle/sqlite/columns.ts')
const { defineTables } = require('../../../drizzle/tables.ts')
const { itemTableShapes } = require('../../providers/index.ts')

module.exports = defineTables(columns, itemTableShapes).all
