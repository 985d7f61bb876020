// What becomes of the requests under way when the Worker panics: nobody would ever answer them. And of those that the runtime
// has ended itself, which would be kept here for ever.

/** How each request under way is given up, and when it began; the oldest come first. */
const under_way = new Set();

let restart = () => {};

/** Says how the Worker is made anew. */
export const onPanic = (begin) => {
  restart = begin;
};

const queue = globalThis.queueMicrotask;
let restarting = false;

/** Called by the Worker as it panics: its instance is still running, and replaced once it has stopped. */
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

/** What ends a Worker at its stack's or memory's end is no panic: nothing else tells of it. */
export const noticed = (error) => {
  const overflow = error instanceof RangeError && error.message.includes('call stack');
  if (overflow || error instanceof WebAssembly.RuntimeError) panicked();
  return error;
};

/** Called by the Worker when it has found requests that were given up: all that began before then, in milliseconds. */
export const forget = (before) => {
  for (const request of under_way) {
    if (request.began >= before) break;
    under_way.delete(request);
  }
};

// What Rust awaits goes on in microtasks. A promise takes less of the processor for one than the runtime's own function does.
globalThis.queueMicrotask = (task) => {
  Promise.resolve()
    .then(task)
    .catch((error) => {
      throw noticed(error);
    });
};

/** How many are under way: for tests. */
export const waiting = () => under_way.size;

/** The answer, or an error if the Worker panics before there is one. */
export const unlessPanicked = (begin) =>
  new Promise((resolve, reject) => {
    const request = { give_up: reject, began: Date.now() };
    under_way.add(request);
    begin()
      .then(resolve, (error) => reject(noticed(error)))
      .finally(() => under_way.delete(request));
  });
