// Writes rust_*.parquet and hyparquet_*.parquet into the folder of this file, with the parquet crate of
// Rust as parquet-wasm 0.8.0 has it, and with hyparquet-writer 0.17.0
// ('npm install parquet-wasm hyparquet-writer'; NODE_MODULES is the folder that has them).
const fs = require('fs');
const path = require('path');
const { pathToFileURL } = require('url');

const modules = process.env.NODE_MODULES;
const rust = require(path.join(modules, 'parquet-wasm/node/parquet_wasm.js'));
const here = (name) => path.join(__dirname, name);

function writeRust() {
  const source = fs.readFileSync(here('arrow_users_none.parquet'));
  const { Compression, WriterVersion, EnabledStatistics } = rust;
  const write = (name, change) => {
    const builder = change(new rust.WriterPropertiesBuilder().setMaxRowGroupSize(50));
    const table = rust.readParquet(source, { columns: ['id', 'json', 'country', 'created', 'day',
      'score', 'ratio', 'amount', 'level', 'unsigned', 'active', 'key', 'tags', 'matrix',
      'attributes', 'address'] });
    fs.writeFileSync(here(`rust_${name}.parquet`), rust.writeParquet(table, builder.build()));
  };
  write('users_zstd', (to) => to.setCompression(Compression.ZSTD)
    .setStatisticsEnabled(EnabledStatistics.Page).setDataPageSizeLimit(256).setWriteBatchSize(8));
  write('users_lz4', (to) => to.setCompression(Compression.LZ4_RAW)
    .setWriterVersion(WriterVersion.V2));
  write('users_plain', (to) => to.setCompression(Compression.UNCOMPRESSED)
    .setDictionaryEnabled(false).setStatisticsEnabled(EnabledStatistics.None));
}

async function writeHyparquet() {
  const { parquetWriteBuffer } = await import(
    pathToFileURL(path.join(modules, 'hyparquet-writer/src/index.js')).href);
  const count = Array.from({ length: 80 }, (_, i) => i);
  const columnData = [
    { name: 'id', data: count.map((i) => `user ${i * 7919 % 1000}`), type: 'STRING' },
    { name: 'n', data: count.map((i) => BigInt(i) * 1234567890123n), type: 'INT64' },
    { name: 'x', data: count.map((i) => (i % 6 ? i / 3 : null)), type: 'DOUBLE' },
    { name: 'at', data: count.map((i) => new Date(1700000000000 + i)), type: 'TIMESTAMP' },
    { name: 'kind', data: count.map((i) => ['a', 'b', 'c'][i % 3]), type: 'STRING' },
    { name: 'data', data: count.map((i) => ({ user: i })), type: 'JSON' },
  ];
  for (const [name, codec] of [['snappy', 'SNAPPY'], ['none', 'UNCOMPRESSED']]) {
    const buffer = parquetWriteBuffer({ columnData, codec, rowGroupSize: 30, pageSize: 200,
      kvMetadata: [{ key: 'owner', value: 'tests' }] });
    fs.writeFileSync(here(`hyparquet_users_${name}.parquet`), Buffer.from(buffer));
  }
}

writeRust();
writeHyparquet();
