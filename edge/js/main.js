// The Worker's entry point. Passes requests to the module compiled from Rust, and restarts that module after a panic.

import { DurableObject } from 'cloudflare:workers';
import module from './worker_bg.wasm';
import { drain } from './message.js';
import { noticed, onPanic, unlessPanicked } from './panic.js';
import { acceptSocket } from './socket.js';
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

/** The instance of an object's class in Rust. A symbol, so that no caller of the object reaches it. */
const made = Symbol('made');

// Recreates an object whenever the instance that holds it has been replaced.
const remade = (Kind) =>
  class extends DurableObject {
    #object;
    #of;

    get [made]() {
      if (this.#of !== generation) {
        this.#object = new Kind(this.ctx, this.env);
        this.#of = generation;
      }
      return this.#object;
    }

    ask(question) {
      return told(() => this[made].ask(question));
    }

    alarm() {
      return unlessPanicked(async () => this[made].alarm());
    }
  };

export const SessionObject = remade(rust.SessionObject);
export const OwnerObject = remade(rust.OwnerObject);

export class ConnectionObject extends remade(rust.ConnectionObject) {
  ask(question) {
    return unlessPanicked(async () => this[made].ask(question));
  }

  changed() {
    return unlessPanicked(async () => this[made].changed());
  }

  fetch(request) {
    return told(() => acceptSocket(request, (socket, accepted) => this[made].accept(socket, accepted)));
  }

  webSocketMessage(socket) {
    // What a client has sent before it received the close frame.
    if (socket.readyState !== WebSocket.READY_STATE_OPEN) return;
    told(() => this[made].received(socket));
  }

  webSocketClose(socket, code, reason) {
    told(() => this[made].closed(socket, code, reason));
  }

  webSocketError(socket) {
    told(() => this[made].closed(socket, 1006, ''));
  }
}

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
