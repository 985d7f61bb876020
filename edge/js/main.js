// The Worker's entry point. Passes requests to the module compiled from Rust, and restarts that module after a panic.

import { DurableObject } from 'cloudflare:workers';
import module from './worker_bg.wasm';
import { drain } from './message.js';
import { noticed, onPanic, unlessPanicked } from './panic.js';
import * as rust from './worker.js';

/** The number of the current instance. */
let generation = 0;

// The state of an instance is unreliable after a panic.
onPanic(() => {
  rust.__wbg_reset_state();
  generation += 1;
});

rust.initSync({ module });

const told = (work) => {
  try {
    return work();
  } catch (error) {
    throw noticed(error);
  }
};

// Recreates an object whenever the instance that holds it has been replaced.
const remade = (Kind) =>
  class extends DurableObject {
    #object;
    #of;

    #now() {
      if (this.#of !== generation) {
        this.#object = new Kind(this.ctx);
        this.#of = generation;
      }
      return this.#object;
    }

    ask(question) {
      return told(() => this.#now().ask(question));
    }

    alarm() {
      return told(() => this.#now().alarm());
    }
  };

export const SessionObject = remade(rust.SessionObject);
export const OwnerObject = remade(rust.OwnerObject);

const failed = () => {
  const detail = 'the service failed; see its log';
  const problem = { title: 'Internal Server Error', status: 500, code: 'other', detail };
  const headers = { 'content-type': 'application/problem+json', 'cache-control': 'no-store' };
  return new Response(JSON.stringify(problem), { status: 500, headers });
};

export default {
  async fetch(request, env, context) {
    const answered = unlessPanicked(async () => rust.fetch(request, env, context)).catch(failed);
    const answer = answered.then(async (response) => {
      await drain(request);
      return response;
    });
    // A request that has begun to write is completed even if the client disconnects.
    context.waitUntil(answer);
    return answer;
  },
};
