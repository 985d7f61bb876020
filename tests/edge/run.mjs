// Runs a bundle in workerd until its standard input ends, or under `wrangler dev` where a `directory` is named instead. Takes the
// options of `worker.mjs` or `wrangler.mjs` as JSON, prints the address.

import { start } from './worker.mjs';
import { startWrangler } from './wrangler.mjs';

const options = JSON.parse(process.argv[2]);
const { address, dispose } = options.directory ? await startWrangler(options) : await start(options);
console.log(address);
process.stdin.resume();
process.stdin.on('end', async () => {
  await dispose();
  process.exit(0);
});
