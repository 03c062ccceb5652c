// What hyparquet finds in Parquet files: a process of parquet_judge.js of its own, as this reader
// believes any length, also where it misunderstands the bytes before it, and runs out of memory.
// Answers each message with one, {error} or what the request asks for:
//
//   {before, after, erased}  {differences}; also {unreadable}, why 'before' cannot be read, and else
//                            {understood: true} as soon as it is
//   {read}                   {rows}
const fs = require('fs');
const path = require('path');
const { pathToFileURL } = require('url');

let hyparquet, compressors;

async function start() {
  const load = (name) => import(pathToFileURL(path.resolve(
    process.env.RUN_CORE_PARQUET_JUDGE, 'node_modules', `${name}/src/index.js`)).href);
  hyparquet = await load('hyparquet');
  const codecs = (await load('hyparquet-compressors')).compressors;
  // A page without any value may be of no bytes, which not all of these codecs expect.
  compressors = Object.fromEntries(Object.entries(codecs).map(([name, decompress]) => [name,
    (input, length) => (length ? decompress(input, length) : new Uint8Array())]));
}

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

async function compare({ before, after, erased }) {
  const files = { before: open(before), after: open(after) };
  const metadata = { before: await metadataOf(files.before), after: await metadataOf(files.after) };
  const found = [...metadataDifferences(metadata.before, metadata.after, erased)];
  let rows;
  try {
    rows = await rowsOf(files.before, metadata.before);
  } catch (error) {
    return { differences: found, unreadable: error.message };
  }
  process.send({ understood: true });
  const left = await rowsOf(files.after, metadata.after);
  return { differences: [...found, ...rowDifferences(rows, left, erased)] };
}

async function read(name) {
  const file = open(name);
  return { rows: (await rowsOf(file, await metadataOf(file))).length };
}

const started = start();
started.catch(() => {}); // who asks is told
process.on('message', async (request) => {
  try {
    await started;
    process.send(await (request.read ? read(request.read) : compare(request)));
  } catch (error) {
    process.send({ error: error.message });
  }
});
