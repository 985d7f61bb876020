// Requests to Tessera at the edge, beside a Worker that does nothing but read KV, in the same run. Both in workerd on this
// machine: what is compared is what the Worker adds, not what Cloudflare's network and storage take.

import http from 'node:http';
import { start } from './worker.mjs';

const { bundle, tools } = JSON.parse(process.argv[2]);
const ROUNDS = 5;
const CLIENTS = 16;
const WARM = 1000;
const TURNS = 20;
const SECONDS = 2;
const SERVICE_KEY = 'the-service-key-of-the-benchmark';
const KEYS = JSON.stringify({ keys: [{ id: 'bench', secret: Buffer.alloc(32, 7).toString('base64url') }] });
const BARE = `export default {
  async fetch(request, env) {
    const value = await env.TESSERA_KV.get('key');
    return new Response(value, { headers: { 'content-type': 'application/json' } });
  },
};`;

const ask = (agent, address, { method = 'GET', path = '/', headers = {}, body } = {}) =>
  new Promise((resolve, reject) => {
    const request = http.request(address + path, { method, agent, headers }, (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part));
      response.on('end', () => resolve({ status: response.statusCode, text: Buffer.concat(parts).toString() }));
    });
    request.on('error', reject);
    request.end(body);
  });

const timed = async (work) => {
  const began = performance.now();
  await work();
  return performance.now() - began;
};

const middle = (numbers) => numbers.toSorted((one, two) => one - two)[Math.floor(numbers.length / 2)];

const ok = async (asked) => {
  const answer = await asked;
  if (answer.status !== 200) throw new Error(`it is answered ${answer.status}: ${answer.text}`);
  return answer;
};

/** One Worker: what its first request takes; and then requests of the kind that is compared. */
const begin = async (worker, prepare) => {
  const { address, miniflare } = worker;
  const agent = new http.Agent({ keepAlive: true, maxSockets: CLIENTS });
  const { first, request } = await prepare(agent, address, miniflare);
  const once = () => ok(ask(agent, address, request));
  for (let n = 0; n < WARM; n += 1) await once();
  const end = async () => {
    agent.destroy();
    await miniflare.dispose();
  };
  return { first, once, end };
};

/** How many requests it answers a second, of many clients at once. */
const rate = async ({ once }) => {
  const end = performance.now() + SECONDS * 1000;
  let count = 0;
  await Promise.all(
    Array.from({ length: CLIENTS }, async () => {
      while (performance.now() < end) {
        await once();
        count += 1;
      }
    }),
  );
  return count / SECONDS;
};

/** All Workers once: warm requests a few of each in turn, so that what else the machine does meets them all. */
const round = async () => {
  const workers = [];
  for (const [, run] of rows) workers.push(await run());
  const times = workers.map(() => []);
  for (let turn = 0; turn < TURNS; turn += 1) {
    for (const [at, { once }] of workers.entries()) {
      for (let n = 0; n < WARM / TURNS; n += 1) times[at].push(await timed(once));
    }
  }
  const measured = [];
  for (const [at, worker] of workers.entries()) {
    measured.push({ first: worker.first, warm: middle(times[at]), rate: await rate(worker) });
  }
  for (const worker of workers) await worker.end();
  return measured;
};

const bare = async () =>
  begin(await start({ script: BARE, tools }), async (agent, address, miniflare) => {
    const kv = await miniflare.getKVNamespace('TESSERA_KV');
    await kv.put('key', JSON.stringify({ subject: 'alice', fields: { role: 'admin' } }));
    const first = await timed(() => ok(ask(agent, address)));
    return { first, request: {} };
  });

const tessera = async (store) => {
  const policy = { TESSERA_MAX_STALE: '10s', TESSERA_ROTATION_GRACE: '60s' };
  const bindings = { ...policy, TESSERA_STORE: store, TESSERA_SERVICE_KEY: SERVICE_KEY, TESSERA_KEYS: KEYS };
  return begin(await start({ bundle, bindings, tools }), async (agent, address) => {
    const headers = { authorization: `Bearer ${SERVICE_KEY}`, 'content-type': 'application/json' };
    const body = JSON.stringify({ subject: 'alice', fields: { role: 'admin' } });
    let created;
    const first = await timed(async () => {
      created = await ask(agent, address, { method: 'POST', path: '/v1/sessions', headers, body });
    });
    if (created.status !== 201) throw new Error(`it is answered ${created.status}: ${created.text}`);
    const { token } = JSON.parse(created.text);
    return { first, request: { path: '/v1/session', headers: { authorization: `Bearer ${token}` } } };
  });
};

const rows = [
  ['a Worker that reads KV', bare],
  ['Tessera, KV over Durable Objects', () => tessera('combined')],
  ['Tessera, Durable Objects', () => tessera('durable')],
  ['Tessera, KV alone', () => tessera('kv')],
];
const runs = rows.map(() => []);
for (let n = 0; n < ROUNDS; n += 1) {
  for (const [at, measured] of (await round()).entries()) runs[at].push(measured);
}
const median = (all, of) => middle(all.map(of));
const base = median(runs[0], (run) => run.warm);
console.log('| | first request | warm request | beside bare KV | requests/s, 16 clients |');
console.log('|---|---|---|---|---|');
for (const [at, [name]] of rows.entries()) {
  const [first, warm, answered] = ['first', 'warm', 'rate'].map((what) => median(runs[at], (run) => run[what]));
  console.log(`| ${name} | ${first.toFixed(0)} ms | ${warm.toFixed(2)} ms | ${(warm / base).toFixed(2)} × | ${answered.toFixed(0)} |`);
}
const AIM = 1.3;
const quotient = median(runs[1], (run) => run.warm) / base;
console.log('\n| quotient | measured | aim | |\n|---|---|---|---|');
console.log(`| ${rows[1][0]}, warm ÷ ${rows[0][0]} | ${quotient.toFixed(2)} | ≤ ${AIM} | ${quotient <= AIM ? 'met' : 'missed'} |`);
