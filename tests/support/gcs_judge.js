// Runs the body of an async function, read from stdin, and prints what it returns as JSON. 'storage'
// in it is Google's own client for Cloud Storage, 'bucket' a function that gives one of its buckets,
// 'auth' its library for tokens.
// Tests ask it whether a stand-in or what run-core wrote is right; it shares no code with either.
// RUN_CORE_GCS_JUDGE is the folder whose node_modules hold the client, GCS_ENDPOINT and GCS_TOKEN
// say where to and as whom.
const path = require('path');
const paths = [path.resolve(process.env.RUN_CORE_GCS_JUDGE)];
const { Storage } = require(require.resolve('@google-cloud/storage', { paths }));
const auth = require(require.resolve('google-auth-library', {
  paths: [path.dirname(require.resolve('@google-cloud/storage', { paths }))] }));

async function main() {
  const authClient = new auth.OAuth2Client();
  authClient.setCredentials({ access_token: process.env.GCS_TOKEN });
  const storage = new Storage({
    apiEndpoint: process.env.GCS_ENDPOINT, projectId: 'project-1', authClient,
    useAuthWithCustomEndpoint: true, retryOptions: { autoRetry: true, maxRetryDelay: 1,
      retryDelayMultiplier: 1, idempotencyStrategy: 0 },
  });
  // To an endpoint of one's own the client starts sessions of uploads without its authClient.
  const headers = { Authorization: `Bearer ${process.env.GCS_TOKEN}` };
  storage.interceptors.push({ request: (options) => (
    { ...options, headers: { ...options.headers, ...headers } }) });
  const AsyncFunction = (async () => {}).constructor;
  const run = new AsyncFunction('storage', 'bucket', 'auth',
    require('fs').readFileSync(0, 'utf8'));
  console.log(JSON.stringify(
    await run(storage, (name) => storage.bucket(name), auth) ?? null));
}

main().catch((error) => {
  console.error(error.stack || error);
  process.exit(1);
});
