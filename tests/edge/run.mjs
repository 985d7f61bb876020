// Runs a bundle in workerd until its standard input ends. Takes its options as JSON: `bundle`, the directory; `bindings`,
// variables and secrets by name; `kv`, whether there is a namespace; `persist`, a directory for what is stored.
// Prints one line: the address.

import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import path from 'node:path';

const { bundle, bindings, kv = true, persist, tools } = JSON.parse(process.argv[2]);
const { Miniflare, Log, LogLevel } = createRequire(path.join(tools, 'package.json'))('miniflare');

const wasm = (name) => ({ type: 'CompiledWasm', path: name, contents: readFileSync(path.join(bundle, name)) });

const miniflare = new Miniflare({
  modules: [
    { type: 'ESModule', path: 'worker.js', contents: readFileSync(path.join(bundle, 'worker.js'), 'utf8') },
    ...(bindings === undefined ? [] : [wasm('worker_bg.wasm'), wasm('engine.wasm')]),
  ],
  compatibilityDate: '2026-04-01',
  host: '127.0.0.1',
  port: 0,
  bindings: bindings ?? {},
  ...(kv ? { kvNamespaces: ['TESSERA_KV'] } : {}),
  ...(bindings === undefined
    ? {}
    : {
        durableObjects: {
          TESSERA_SESSIONS: { className: 'SessionObject', useSQLite: true },
          TESSERA_OWNERS: { className: 'OwnerObject', useSQLite: true },
        },
      }),
  ...(persist ? { durableObjectsPersist: path.join(persist, 'do'), kvPersist: path.join(persist, 'kv') } : {}),
  log: new Log(LogLevel.ERROR),
  handleRuntimeStdio: (out, err) => {
    out.pipe(process.stderr);
    err.pipe(process.stderr);
  },
});

const address = await miniflare.ready;
console.log(address.origin);
process.stdin.resume();
process.stdin.on('end', async () => {
  await miniflare.dispose();
  process.exit(0);
});
