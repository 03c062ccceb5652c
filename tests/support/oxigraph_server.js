// A SPARQL 1.1 store in memory, for tests: the engine is Oxigraph's own, as its npm package brings it
// (SPARQL, results, RDF); the HTTP in front of it, the SPARQL 1.1 Protocol, is this file's.
//
//     oxigraph_server.js PORT
//
// Queries go to /query, updates to /update. The engine carries out one request after the other, so
// updates are isolated. Under /loose/MS they are not, as with services that stand before a store and
// make a query and an insertion of each update: what it is to do is found out on the data as they
// are when it comes, and done MS milliseconds later, whatever has happened meanwhile. Under /private
// only the user of RUN_CORE_OXIGRAPH_LOGIN, "name:password", gets in.
// RUN_CORE_OXIGRAPH is the folder whose node_modules hold the package oxigraph.
'use strict';
const http = require('http');
const path = require('path');
const oxigraph = require(require.resolve('oxigraph',
  { paths: [path.resolve(process.env.RUN_CORE_OXIGRAPH)] }));

const LIMIT_BYTES = 16 << 20;
const TABLES = ['application/sparql-results+json', 'application/sparql-results+xml', 'text/csv'];
const TRIPLES = ['application/n-triples', 'text/turtle', 'application/rdf+xml'];
const LOGIN = Buffer.from(process.env.RUN_CORE_OXIGRAPH_LOGIN ?? '').toString('base64');
const store = new oxigraph.Store();

class Refused extends Error {
  constructor(status, message, headers = {}) {
    super(message);
    Object.assign(this, { status, headers });
  }
}

// The first of 'formats' that the client accepts; the first of all where it says nothing of any.
function acceptable(request, formats) {
  const wanted = (request.headers.accept ?? '*/*').split(',').map((one) => {
    const [type, ...parameters] = one.split(';').map((word) => word.trim().toLowerCase());
    const q = parameters.find((word) => word.startsWith('q='));
    return { type, q: q ? Number(q.slice(2)) : 1 };
  }).sort((a, b) => b.q - a.q);
  for (const { type } of wanted) {
    if (type === '*/*') return formats[0];
    const found = formats.find((format) => format === type);
    if (found) return found;
  }
  throw new Refused(406, `only ${formats.join(', ')}`);
}

async function readBody(request) {
  const pieces = [];
  let size = 0;
  for await (const piece of request) {
    size += piece.length;
    if (size > LIMIT_BYTES) throw new Refused(413, `more than ${LIMIT_BYTES} bytes`);
    pieces.push(piece);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(pieces));
  } catch {
    throw new Refused(400, 'the body is not UTF-8');
  }
}

// The text of the query or update, 'kind', in whichever of the protocol's ways it comes, and the
// other parameters.
async function readText(request, url, kind) {
  const parameters = new URLSearchParams(url.search);
  if (request.method === 'GET' && kind === 'query') return [parameters.getAll(kind), parameters];
  if (request.method !== 'POST')
    throw new Refused(405, `${request.method} is for no ${kind}`, { Allow: 'POST' });
  const type = (request.headers['content-type'] ?? '').split(';')[0].trim().toLowerCase();
  const body = await readBody(request);
  if (type === `application/sparql-${kind}`) return [[body], parameters];
  if (type !== 'application/x-www-form-urlencoded')
    throw new Refused(415, `'${type}' is no type for a ${kind}`);
  const form = new URLSearchParams(body);
  return [form.getAll(kind), form];
}

function answerQuery(request, text, parameters) {
  const options = {};
  const graphs = (name) => parameters.getAll(name).map((iri) => oxigraph.namedNode(iri));
  if (parameters.has('default-graph-uri')) options.default_graph = graphs('default-graph-uri');
  if (parameters.has('named-graph-uri')) options.named_graphs = graphs('named-graph-uri');
  const type = acceptable(request, givesTriples(text) ? TRIPLES : TABLES);
  return { type, body: store.query(text, { ...options, results_format: type }) };
}

// Whether the first word behind a query's prologue is one that gives triples.
function givesTriples(text) {
  const bare = text.replace(/<[^<>"{}|^`\\\s]*>|#.*/g, ' ');
  return /^\s*(?:(?:BASE|PREFIX\s+[^\s:]*:)\s+)*(?:CONSTRUCT|DESCRIBE)\b/i.test(bare);
}

// With 'pauseMs' loosely.
async function answerUpdate(text, parameters, pauseMs) {
  if (parameters.has('using-graph-uri') || parameters.has('using-named-graph-uri'))
    throw new Refused(400, 'using-graph-uri is not offered');
  if (pauseMs === undefined) {
    store.update(text);
    return;
  }
  const before = store.match();
  const copy = new oxigraph.Store(before);
  copy.update(text);
  await new Promise((resolve) => setTimeout(resolve, Number(pauseMs)));
  before.filter((quad) => !copy.has(quad)).forEach((quad) => store.delete(quad));
  const known = new oxigraph.Store(before);
  copy.match().filter((quad) => !known.has(quad)).forEach((quad) => store.add(quad));
}

async function answer(request) {
  const url = new URL(request.url, 'http://localhost');
  const [, way, pauseMs, kind] =
    /^(?:\/(private|loose\/(\d+)))?\/(query|update)$/.exec(url.pathname) ?? [];
  if (!kind) throw new Refused(404, `there is no '${url.pathname}'`);
  if (way === 'private' && request.headers.authorization !== `Basic ${LOGIN}`)
    throw new Refused(401, 'who are you?', { 'WWW-Authenticate': 'Basic realm="store"' });
  const [texts, parameters] = await readText(request, url, kind);
  if (texts.length !== 1) throw new Refused(400, `one ${kind}, not ${texts.length}`);
  try {
    if (kind === 'query') return answerQuery(request, texts[0], parameters);
    await answerUpdate(texts[0], parameters, pauseMs);
    return null;
  } catch (error) {
    throw error instanceof Refused ? error : new Refused(400, String(error.message ?? error));
  }
}

const server = http.createServer(async (request, response) => {
  try {
    const found = await answer(request);
    if (found) response.writeHead(200, { 'Content-Type': found.type }).end(found.body);
    else response.writeHead(204).end();
  } catch (error) {
    response.writeHead(error.status ?? 500, { 'Content-Type': 'text/plain', ...error.headers })
      .end(`${error.message}\n`);
    request.resume();
  }
});
server.keepAliveTimeout = 15000;
server.listen(Number(process.argv[2]), '127.0.0.1');
