// The Worker's entry: hands requests to what is compiled from Rust, and makes that anew once it has panicked.

import { DurableObject } from 'cloudflare:workers';
import module from './worker_bg.wasm';
import { drain } from './message.js';
import { noticed, onPanic, unlessPanicked } from './panic.js';
import * as rust from './worker.js';

/** Which instance is there now. */
let generation = 0;

// After a panic nothing in an instance can be relied on.
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

// An object is made anew with the instance that it lives in.
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
  const detail = 'the service failed; its log says more';
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
    // A request that has begun to write is finished also if the client goes away.
    context.waitUntil(answer);
    return answer;
  },
};
