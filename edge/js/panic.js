// Rejects the requests in progress when the Worker panics, because they would never settle.
// Forgets the requests that the runtime has terminated, because they would be kept for ever.

/** The requests in progress, oldest first: the function that rejects each, and its start time. */
const under_way = new Set();

let restart = () => {};

/** Sets the function that restarts the Worker. */
export const onPanic = (begin) => {
  restart = begin;
};

const queue = globalThis.queueMicrotask;
let restarting = false;

/** Called by the Worker when it panics. Its instance is still running, and is replaced once it has stopped. */
export const panicked = () => {
  if (restarting) return;
  const requests = [...under_way];
  queue(() => {
    restarting = false;
    restart();
    for (const { give_up } of requests) give_up(new Error('the Worker panicked'));
  });
  restarting = true;
  under_way.clear();
};

/** Detects the exhaustion of stack or memory, which ends a Worker without a panic. Returns the error unchanged. */
export const noticed = (error) => {
  const overflow = error instanceof RangeError && error.message.includes('call stack');
  if (overflow || error instanceof WebAssembly.RuntimeError) panicked();
  return error;
};

/** Called by the Worker when it has found abandoned requests. Forgets those that began before `before` (ms since 1970). */
export const forget = (before) => {
  for (const request of under_way) {
    if (request.began >= before) break;
    under_way.delete(request);
  }
};

// Rust futures are polled in microtasks. A promise takes less CPU time for each than the runtime's own function.
globalThis.queueMicrotask = (task) => {
  Promise.resolve()
    .then(task)
    .catch((error) => {
      throw noticed(error);
    });
};

/** For tests: the number of requests in progress. */
export const waiting = () => under_way.size;

/** Runs a request. Resolves to its response, and rejects if the Worker panics first. */
export const unlessPanicked = (begin) =>
  new Promise((resolve, reject) => {
    const request = { give_up: reject, began: Date.now() };
    under_way.add(request);
    begin()
      .then(resolve, (error) => reject(noticed(error)))
      .finally(() => under_way.delete(request));
  });
