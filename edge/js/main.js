// The Worker's entry: hands requests to what is compiled from Rust, and makes that anew once it has panicked.

import { DurableObject } from 'cloudflare:workers';
import module from './worker_bg.wasm';
import * as rust from './worker.js';

rust.initSync({ module });

/** Which instance is there now. */
let generation = 0;

// After a panic nothing in the instance can be relied on: what it was doing is given up, and the next call finds a new one.
const guarded = (call) => {
  const failed = (error) => {
    if (error instanceof WebAssembly.RuntimeError) {
      console.error(`the Worker panicked and begins anew: ${error.message}`);
      rust.__wbg_reset_state();
      generation += 1;
    }
    throw error;
  };
  try {
    const answer = call();
    return answer instanceof Promise ? answer.catch(failed) : answer;
  } catch (error) {
    return failed(error);
  }
};

// An object is made anew with the instance that it lives in.
const remade = (Kind) =>
  class extends DurableObject {
    #object;
    #of;

    #now() {
      if (this.#of !== generation) {
        this.#object = guarded(() => new Kind(this.ctx));
        this.#of = generation;
      }
      return this.#object;
    }

    ask(question) {
      return guarded(() => this.#now().ask(question));
    }

    alarm() {
      return guarded(() => this.#now().alarm());
    }
  };

export const SessionObject = remade(rust.SessionObject);
export const OwnerObject = remade(rust.OwnerObject);

export default {
  async fetch(request, env, context) {
    const answer = guarded(() => rust.fetch(request, env, context));
    // A request that has begun to write is finished also if the client goes away.
    context.waitUntil(answer.catch(() => {}));
    try {
      return await answer;
    } catch {
      const detail = 'the service failed; its log says more';
      const problem = { title: 'Internal Server Error', status: 500, code: 'other', detail };
      const headers = { 'content-type': 'application/problem+json', 'cache-control': 'no-store' };
      return new Response(JSON.stringify(problem), { status: 500, headers });
    }
  },
};
