// Runs the SQL on stdin with the vendor's own client and prints the rows of the last statement as
// JSON. It shares no code with run-core: tests ask it whether what run-core wrote is right.
// RUN_CORE_JUDGE is the folder whose node_modules hold the client.
const path = require('path');
const { DuckDBInstance } = require(
  require.resolve('@duckdb/node-api', { paths: [path.resolve(process.env.RUN_CORE_JUDGE)] }));

async function main() {
  const sql = require('fs').readFileSync(0, 'utf8');
  const connection = await (await DuckDBInstance.create(':memory:')).connect();
  const reader = await connection.runAndReadAll(sql);
  console.log(JSON.stringify(reader.getRowsJson()));
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
