// What becomes of the requests under way when the Worker panics: nobody would ever answer them.

/** How each request under way is given up. */
const under_way = new Set();

let restart = () => {};

/** Says how the Worker is made anew. */
export const onPanic = (begin) => {
  restart = begin;
};

/** Called by the Worker as it panics: its instance is still running, and replaced once it has stopped. */
export const panicked = () => {
  const requests = [...under_way];
  under_way.clear();
  queueMicrotask(() => {
    restart();
    for (const give_up of requests) give_up(new Error('the Worker panicked'));
  });
};

/** The answer, or an error if the Worker panics before there is one. */
export const unlessPanicked = (begin) =>
  new Promise((resolve, reject) => {
    under_way.add(reject);
    begin()
      .then(resolve, reject)
      .finally(() => under_way.delete(reject));
  });
