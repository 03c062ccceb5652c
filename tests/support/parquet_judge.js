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
const fs = require('fs');
const path = require('path');
const readline = require('readline');
const { pathToFileURL } = require('url');

const inside = (folder, name) => path.resolve(folder, 'node_modules', name);
const { DuckDBInstance } = require(inside(process.env.RUN_CORE_JUDGE, '@duckdb/node-api'));
const LIMIT = 20; // of differences that are told
let hyparquet, compressors, connection;

async function start() {
  const load = (name) => import(
    pathToFileURL(inside(process.env.RUN_CORE_PARQUET_JUDGE, `${name}/src/index.js`)).href);
  hyparquet = await load('hyparquet');
  const codecs = (await load('hyparquet-compressors')).compressors;
  // A page without any value may be of no bytes, which not all of these codecs expect.
  compressors = Object.fromEntries(Object.entries(codecs).map(([name, decompress]) => [name,
    (input, length) => (length ? decompress(input, length) : new Uint8Array())]));
  connection = await (await DuckDBInstance.create(':memory:')).connect();
  await connection.run("SET TimeZone = 'UTC'; SET threads = 1");
}

async function sql(text) {
  return (await connection.runAndReadAll(text)).getRowsJson();
}

// ---- hyparquet ----

const text = (value) => JSON.stringify(value, (_, item) => {
  if (typeof item === 'bigint') return `${item}n`;
  if (item instanceof Uint8Array) return Buffer.from(item).toString('hex');
  return item;
});

const same = (a, b) => {
  if (Object.is(a, b)) return true;
  if (a === null || b === null || typeof a !== 'object' || typeof b !== 'object') return false;
  if (a instanceof Uint8Array || b instanceof Uint8Array) {
    return a instanceof Uint8Array && b instanceof Uint8Array && Buffer.compare(a, b) === 0;
  }
  const keys = Object.keys(a);
  return Array.isArray(a) === Array.isArray(b) && keys.length === Object.keys(b).length &&
    keys.every((key) => key in b && same(a[key], b[key]));
};

function open(name) {
  const bytes = fs.readFileSync(name);
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  return { byteLength: buffer.byteLength, slice: async (a, b) => buffer.slice(a, b) };
}

const metadataOf = (file) => hyparquet.parquetMetadataAsync(file, {
  geoparquet: false,
  parsers: Object.fromEntries(['timestampFromMilliseconds', 'timestampFromMicroseconds',
    'timestampFromNanoseconds', 'dateFromDays', 'stringFromBytes', 'jsonFromBytes',
    'geometryFromBytes', 'geographyFromBytes', 'uuidFromBytes'].map((key) => [key, (x) => x])),
});

// The values of the physical types: annotations of leaves are left out before anything is read.
async function rowsOf(file, metadata) {
  const raw = {
    ...metadata,
    schema: metadata.schema.map((element) => (element.num_children ? element :
      { ...element, converted_type: undefined, logical_type: undefined })),
  };
  const parsers = { timestampFromNanoseconds: (nanos) => nanos };
  let found;
  await hyparquet.parquetRead({
    file, metadata: raw, compressors, parsers, utf8: false, rowFormat: 'object',
    onComplete: (rows) => { found = rows; },
  });
  if (BigInt(found.length) !== metadata.num_rows) {
    throw new Error(`${found.length} rows instead of ${metadata.num_rows}`);
  }
  return found;
}

// The row groups that keep a row, each with the number of those that stay.
function groupsThatStay(metadata, erased) {
  let at = 0;
  const gone = new Set(erased);
  return metadata.row_groups.map((group) => {
    let stay = 0;
    for (const end = at + Number(group.num_rows); at < end; at++) stay += gone.has(at) ? 0 : 1;
    return { group, stay };
  }).filter(({ group, stay }) => stay > 0 || Number(group.num_rows) === 0);
}

function* metadataDifferences(before, after, erased) {
  for (const key of ['version', 'schema', 'key_value_metadata', 'created_by']) {
    if (text(before[key]) !== text(after[key])) {
      yield `${key}: ${text(before[key])} is now ${text(after[key])}`;
    }
  }
  const wanted = groupsThatStay(before, erased);
  const counts = text(wanted.map(({ stay }) => stay));
  const found = text(after.row_groups.map((group) => Number(group.num_rows)));
  if (counts !== found) yield `row groups of ${found} rows instead of ${counts}`;
  for (const [i, { group }] of wanted.entries()) {
    for (const [k, column] of group.columns.entries()) {
      const other = after.row_groups[i]?.columns[k];
      for (const key of ['type', 'path_in_schema', 'codec']) {
        if (text(column.meta_data[key]) !== text(other?.meta_data[key])) {
          yield `row group ${i}, column ${k}: another ${key}`;
        }
      }
    }
  }
}

function* rowDifferences(before, after, erased) {
  const gone = new Set(erased);
  const wanted = before.filter((_, i) => !gone.has(i));
  if (wanted.length !== after.length) yield `${after.length} rows instead of ${wanted.length}`;
  for (const [i, row] of wanted.entries()) {
    for (const name of Object.keys(row)) {
      if (!same(row[name], after[i]?.[name])) {
        yield `row ${i}, '${name}': ${text(row[name])} is now ${text(after[i]?.[name])}`;
      }
    }
  }
}

async function hyparquetDifferences(request, unreadable) {
  const files = { before: open(request.before), after: open(request.after) };
  const before = await metadataOf(files.before);
  const after = await metadataOf(files.after);
  const found = [...metadataDifferences(before, after, request.erased)];
  let rows;
  try {
    rows = await rowsOf(files.before, before);
  } catch (error) {
    unreadable.hyparquet = error.message;
    return found;
  }
  const left = await rowsOf(files.after, after);
  return [...found, ...rowDifferences(rows, left, request.erased)];
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
  const types = async (name) => text(await sql(`DESCRIBE FROM read_parquet(${quoted(name)})`));
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

async function read(name) {
  try {
    const file = open(name);
    return { rows: (await rowsOf(file, await metadataOf(file))).length };
  } catch (error) {
    return { error: error.message };
  }
}

async function answer(request) {
  if (request.sql) return { rows: await sql(request.sql) };
  return request.read ? read(request.read) : compare(request);
}

async function main() {
  await start();
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const reply = await answer(JSON.parse(line)).catch((error) => ({ error: error.message }));
    process.stdout.write(`${text(reply)}\n`);
  }
}

main().catch((error) => {
  console.error(error.stack || error);
  process.exit(1);
});
