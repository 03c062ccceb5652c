/*
 * What the older service does for a dump, for the bench beside run-core: three queries for active
 * jobs, then an update with the job, and one with its task.
 *
 *     node delta_initiator.mjs            one dump, by the variables of the environment form
 *     node delta_initiator.mjs PORT       POST /dump-publication-graph-jobs, until it is killed
 *
 * It answers after all that, as we do; the older service answers before.
 */
import { randomUUID } from "node:crypto";
import http from "node:http";

import SimpleClient from "sparql-http-client/SimpleClient.js";

const endpoint = process.env.MU_SPARQL_ENDPOINT;
const client = new SimpleClient({
    endpointUrl: endpoint,
    updateUrl: endpoint,
    headers: { "mu-auth-sudo": "true" },
});
const graph = process.env.JOBS_GRAPH;
const dump = process.env.DUMP_FILE_CREATION_JOB_OPERATION;
const operations = [
    dump,
    process.env.INITIAL_PUBLICATION_GRAPH_SYNC_JOB_OPERATION,
    process.env.HEALING_JOB_OPERATION,
];
const base = "http://redpencil.data.gift/id";
const prefixes = `
PREFIX mu: <http://mu.semte.ch/vocabularies/core/>
PREFIX task: <http://redpencil.data.gift/vocabularies/tasks/>
PREFIX dct: <http://purl.org/dc/terms/>
PREFIX adms: <http://www.w3.org/ns/adms#>
PREFIX xsd: <http://www.w3.org/2001/XMLSchema#>`;

async function checked(asked) {
    const answer = await asked;
    const text = await answer.text();
    if (!answer.ok)
        throw new Error(`${answer.status} ${text}`);
    return text;
}

async function active(operation) {
    const text = await checked(client.query.select(`${prefixes}
SELECT ?job ?status ?modified WHERE { GRAPH ?g {
  ?job a <http://vocab.deri.ie/cogs#Job> ; task:operation <${operation}> ;
    adms:status ?status ; dct:modified ?modified .
  FILTER(?status IN (<${base}/concept/JobStatus/scheduled>, <${base}/concept/JobStatus/busy>))
} }`, { operation: "postUrlencoded" }));
    return JSON.parse(text).results.bindings;
}

function insert(triples) {
    return checked(client.query.update(
        `${prefixes}\nINSERT DATA { GRAPH <${graph}> {\n${triples}\n} }`,
        { operation: "postUrlencoded" }));
}

async function create() {
    for (const operation of operations)
        if ((await active(operation)).length)
            throw new Error("a job is active");
    const now = `"${new Date().toISOString()}"^^xsd:dateTime`;
    const job = randomUUID(), task = randomUUID();
    await insert(`<${base}/job/${job}> a <http://vocab.deri.ie/cogs#Job> ; mu:uuid "${job}" ;
  dct:creator <http://lblod.data.gift/services/delta-producer-background-jobs-initiator> ;
  adms:status <${base}/concept/JobStatus/busy> ; dct:created ${now} ; dct:modified ${now} ;
  task:operation <${dump}> .`);
    await insert(`<${base}/task/${task}> a <http://redpencil.data.gift/vocabularies/tasks/Task> ;
  mu:uuid "${task}" ; adms:status <${base}/concept/JobStatus/scheduled> ;
  dct:created ${now} ; dct:modified ${now} ; task:index "0" ;
  task:operation <${base}/jobs/concept/TaskOperation/deltas/deltaDumpFileCreation> ;
  dct:isPartOf <${base}/job/${job}> .`);
    return `${base}/job/${job}`;
}

const port = Number(process.argv[2]);
if (port) {
    http.createServer(async (request, response) => {
        request.resume();
        try {
            response.end(JSON.stringify({
                msg: `Dump publication graph job ${await create()} triggered`,
            }));
        } catch (error) {
            response.writeHead(500);
            response.end(String(error));
        }
    }).listen(port, "127.0.0.1");
} else {
    await create();
}
