// Judges Parquet files by readers that share no code with run-core: hyparquet, and DuckDB's own
// client. Takes requests from stdin, a line of JSON each, and answers each with one:
//
//   {before, after, erased}  what differs but for the rows that were to go (numbers, rising):
//                            {differences, unreadable}; 'unreadable' has, by reader, why it cannot
//                            read the file as it was before
//   {read}                   {error} or {rows}, the number of them, of a file that may be damaged
//   {sql}                    {rows}
//
// RUN_CORE_PARQUET_JUDGE is the folder whose node_modules hold hyparquet and its codecs,
// RUN_CORE_JUDGE the one that holds @duckdb/node-api.
const { fork } = require('child_process');
const path = require('path');
const readline = require('readline');

const { DuckDBInstance } = require(
  path.resolve(process.env.RUN_CORE_JUDGE, 'node_modules', '@duckdb/node-api'));
const LIMIT = 20; // of differences that are told
let connection;

async function start() {
  connection = await (await DuckDBInstance.create(':memory:')).connect();
  await connection.run("SET TimeZone = 'UTC'; SET threads = 1");
}

async function sql(text) {
  return (await connection.runAndReadAll(text)).getRowsJson();
}

// ---- hyparquet ----

const MEMORY_MIB = 512;
const PATIENCE_MS = 120000;
let reader;

// What the reader says to a request. One that a file overwhelms dies, and gets a successor.
function hyparquet(request) {
  reader ??= fork(path.join(__dirname, 'parquet_judge_hyparquet.js'), {
    execArgv: [`--max-old-space-size=${MEMORY_MIB}`], stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  return new Promise((resolve) => {
    let understood = false;
    let why = 'the file was too much for it';
    const timer = setTimeout(() => {
      why = `no end within ${PATIENCE_MS} ms`;
      reader.kill('SIGKILL');
    }, PATIENCE_MS);
    const end = (reply) => {
      clearTimeout(timer);
      reader.removeAllListeners();
      resolve(reply);
    };
    reader.on('message', (reply) => {
      if (reply.understood) understood = true;
      else end(reply);
    });
    reader.on('exit', () => {
      end(request.read || understood ? { error: why } : { differences: [], unreadable: why });
      reader = undefined;
    });
    reader.send(request);
  });
}

async function hyparquetDifferences(request, unreadable) {
  const reply = await hyparquet(request);
  if (reply.error) throw new Error(reply.error);
  if (reply.unreadable) unreadable.hyparquet = reply.unreadable;
  return reply.differences;
}

// ---- DuckDB ----

const quoted = (name) => `'${name.replaceAll("'", "''")}'`;

async function duckdbDifferences(request, unreadable) {
  // A filter may change the order, so rows are numbered before and counted off again behind it.
  const numbered = (name, where) => `
    SELECT entry, row_number() OVER (ORDER BY number) AS place
    FROM (SELECT t AS entry, row_number() OVER () - 1 AS number
          FROM (FROM read_parquet(${quoted(name)})) t) ${where}`;
  try {
    await sql(`SELECT count(entry) FROM (${numbered(request.before, '')})`);
  } catch (error) {
    unreadable.duckdb = error.message;
    return [];
  }
  await sql('CREATE OR REPLACE TEMP TABLE erased (row BIGINT)');
  for (let i = 0; i < request.erased.length; i += 5000) {
    const values = request.erased.slice(i, i + 5000).map((row) => `(${row})`);
    await sql(`INSERT INTO erased VALUES ${values.join(', ')}`);
  }
  const [[wrong, first, count]] = await sql(`
    WITH b AS (${numbered(request.before, 'WHERE number NOT IN (FROM erased)')}),
         a AS (${numbered(request.after, '')})
    SELECT count(*) FILTER (b.entry IS DISTINCT FROM a.entry OR b.place IS NULL OR a.place IS NULL),
           min(place) FILTER (b.entry IS DISTINCT FROM a.entry), count(*)
    FROM b FULL JOIN a USING (place)`);
  const found = Number(wrong) ? [`${wrong} of ${count} rows differ, the first is ${first}`] : [];
  const types = async (name) => JSON.stringify(await sql(`DESCRIBE FROM read_parquet(${quoted(name)})`));
  if (await types(request.before) !== await types(request.after)) found.push('other types');
  return found;
}

// ---- requests ----

async function compare(request) {
  const differences = [];
  const unreadable = {};
  for (const [name, judge] of Object.entries({
    hyparquet: hyparquetDifferences, duckdb: duckdbDifferences,
  })) {
    try {
      const found = await judge(request, unreadable);
      differences.push(...found.slice(0, LIMIT).map((line) => `${name}: ${line}`));
    } catch (error) {
      differences.push(`${name}: ${error.message}`);
    }
  }
  return { differences, unreadable };
}

async function answer(request) {
  if (request.sql) return { rows: await sql(request.sql) };
  return request.read ? hyparquet(request) : compare(request);
}

async function main() {
  await start();
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const reply = await answer(JSON.parse(line)).catch((error) => ({ error: error.message }));
    process.stdout.write(`${JSON.stringify(reply)}\n`);
  }
  reader?.disconnect();
}

main().catch((error) => {
  console.error(error.stack || error);
  process.exit(1);
});
