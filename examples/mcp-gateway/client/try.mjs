// Tries a gateway with the official SDK of MCP: `node try.mjs http://127.0.0.1:3000/mcp`.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { LoggingMessageNotificationSchema } from '@modelcontextprotocol/sdk/types.js';

const url = new URL(process.argv[2]);
const numbers = (to) => Array.from({ length: to }, (_, index) => index + 1);

// Counts the streams of the SDK, and cuts the open one.
let streams = 0;
let cut = () => {};
function counting(input, init = {}) {
  if ((init.method ?? 'GET') !== 'GET') return fetch(input, init);
  streams += 1;
  const cutting = new AbortController();
  cut = () => cutting.abort();
  const signal = AbortSignal.any([cutting.signal, init.signal].filter(Boolean));
  return fetch(input, { ...init, signal });
}

async function until(isSo, message) {
  for (let tries = 0; tries < 300; tries += 1) {
    if (isSo()) return;
    await sleep(50);
  }
  assert.fail(message);
}

// A session: a tool reports each number to the stream, which is cut twice.
const received = [];
const reconnectionOptions = {
  initialReconnectionDelay: 50,
  maxReconnectionDelay: 200,
  reconnectionDelayGrowFactor: 1.5,
  maxRetries: 50,
};
const transport = new StreamableHTTPClientTransport(url, { fetch: counting, reconnectionOptions });
const client = new Client({ name: 'try', version: '1' });
client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => {
  received.push(params.data);
  if ([5, 12].includes(received.length)) cut();
});
await client.connect(transport);
const { tools } = await client.listTools();
assert.deepEqual(tools.map((tool) => tool.name), ['count']);
await until(() => streams > 0, 'the SDK opens no stream');
const { content } = await client.callTool({ name: 'count', arguments: { to: 20 } });
assert.equal(content[0].text, 'counted to 20');
await until(() => received.length >= 20, `received ${received}`);
assert.deepEqual(received, numbers(20));
assert.ok(streams >= 3, `${streams} streams`);

// The end of the session is that of its streams, and of its token at every node.
const session = transport.sessionId;
await transport.terminateSession();
for (let node = 0; node < 4; node += 1) {
  const headers = { 'Mcp-Session-Id': session, Accept: 'text/event-stream' };
  assert.equal((await fetch(url, { headers })).status, 404);
}
await client.close();

// Without a session, as in MCP of 2026: the response is a stream, which ends with the result.
const request = { jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name: 'count', arguments: { to: 5 } } };
const answer = await fetch(url, {
  method: 'POST',
  headers: { 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream' },
  body: JSON.stringify(request),
});
const lines = (await answer.text()).split('\n').filter((line) => line.startsWith('data: '));
const messages = lines.map((line) => JSON.parse(line.slice('data: '.length)));
assert.deepEqual(messages.slice(0, -1).map((message) => message.params.data), numbers(5));
assert.equal(messages.at(-1).id, 7);
assert.equal(messages.at(-1).result.content[0].text, 'counted to 5');

console.log('everything arrived once, in order');
