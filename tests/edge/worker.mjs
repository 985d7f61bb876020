// Starts workerd with a bundle, or with one script, and what a Worker is bound to.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

/**
 * `bundle` is a directory, `script` a text instead of one; `bindings` are variables and secrets by name; `tools` is where
 * npm has installed miniflare.
 */
export const start = async ({ bundle, script, bindings = {}, tools }) => {
  const { Miniflare, Log, LogLevel } = createRequire(path.join(tools, 'package.json'))('miniflare');
  const read = (name) => readFileSync(path.join(bundle, name));
  const wasm = (name) => ({ type: 'CompiledWasm', path: name, contents: read(name) });
  const modules = script
    ? [{ type: 'ESModule', path: 'worker.js', contents: script }]
    : [
        { type: 'ESModule', path: 'worker.js', contents: read('worker.js').toString() },
        wasm('worker_bg.wasm'),
        wasm('engine.wasm'),
      ];
  const objects = {
    TESSERA_SESSIONS: { className: 'SessionObject', useSQLite: true },
    TESSERA_OWNERS: { className: 'OwnerObject', useSQLite: true },
    TESSERA_CONNECTIONS: { className: 'ConnectionObject', useSQLite: true },
  };
  const miniflare = new Miniflare({
    modules,
    compatibilityDate: '2026-04-01',
    host: '127.0.0.1',
    port: 0,
    bindings,
    kvNamespaces: ['TESSERA_KV'],
    ...(script ? {} : { durableObjects: objects }),
    log: new Log(LogLevel.ERROR),
    handleRuntimeStdio: (out, err) => {
      // One process may start many.
      process.stderr.setMaxListeners(0);
      out.pipe(process.stderr);
      err.pipe(process.stderr);
    },
  });
  const address = (await miniflare.ready).origin;
  return { address, miniflare, dispose: () => miniflare.dispose() };
};
