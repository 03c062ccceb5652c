// Runs the body of an async function, read from stdin, and prints what it returns as JSON. In it are
// 'transfers' and 'pubsub', Google's own clients for Storage Transfer Service and Pub/Sub, which its
// library makes from the descriptions of the APIs; 'Transfers', a class of another client of Google's
// for the first, which sends numbers for words; and 'fails', which gives a refused call's number and word.
// RUN_CORE_GOOGLE_JUDGE is the folder whose node_modules hold them; GOOGLE_ENDPOINT and GOOGLE_TOKEN
// say where to and as whom.
const path = require('path');
const paths = [path.resolve(process.env.RUN_CORE_GOOGLE_JUDGE)];
const load = (name, from = paths) => require(require.resolve(name, { paths: from }));
const endpoint = new URL(process.env.GOOGLE_ENDPOINT);

// The library of tokens that a client has brought along.
function authOf(client) {
  const { OAuth2Client } = load('google-auth-library',
    [path.dirname(require.resolve(client, { paths }))]);
  const auth = new OAuth2Client();
  auth.setCredentials({ access_token: process.env.GOOGLE_TOKEN });
  return auth;
}

// The library's root would load the clients of all of Google's services.
function client(name) {
  const options = { version: 'v1', auth: authOf('googleapis'), rootUrl: endpoint.href, retry: false };
  return load(`googleapis/build/src/apis/${name}`)[name](options);
}

class Transfers {
  constructor() {
    const { StorageTransferServiceClient } = load('@google-cloud/storage-transfer').v1;
    return new StorageTransferServiceClient({ fallback: true, protocol: endpoint.protocol.slice(0, -1),
      apiEndpoint: endpoint.hostname, port: Number(endpoint.port), projectId: 'project-1',
      authClient: authOf('google-gax') });
  }
}

async function fails(call) {
  try {
    await call;
  } catch (error) {
    return [Number(error.code), error.response?.data?.error?.status];
  }
  throw new Error('there was no error');
}

async function main() {
  const AsyncFunction = (async () => {}).constructor;
  const names = ['transfers', 'pubsub', 'Transfers', 'fails'];
  const run = new AsyncFunction(...names, require('fs').readFileSync(0, 'utf8'));
  const told = await run(client('storagetransfer'), client('pubsub'), Transfers, fails);
  console.log(JSON.stringify(told ?? null));
}

main().catch((error) => {
  console.error(error.stack || error);
  process.exit(1);
});
