// Runs a bundle in workerd until its standard input ends. Takes the options of `worker.mjs` as JSON, prints the address.

import { start } from './worker.mjs';

const { address, miniflare } = await start(JSON.parse(process.argv[2]));
console.log(address);
process.stdin.resume();
process.stdin.on('end', async () => {
  await miniflare.dispose();
  process.exit(0);
});
