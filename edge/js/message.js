// Requests and responses between the runtime and what is compiled from Rust. Each crosses as one text: a call into the runtime
// for every header costs more than the headers do.

/** A request's method and URL, then its headers, a line each. No value has a line's end in it. */
export const headOf = (request) => {
  let head = `${request.method} ${request.url}`;
  request.headers.forEach((value, name) => {
    head += `\n${name}:${value}`;
  });
  return head;
};

/** A response with these headers, a line each as above. */
export const makeResponse = (status, head, body) => {
  const headers = head.split('\n').map((line) => {
    const end = line.indexOf(':');
    return [line.slice(0, end), line.slice(end + 1)];
  });
  // The runtime reads a body later, and the memory it lies in is used again.
  return new Response(body.length === 0 ? null : body.slice(), { status, headers: head === '' ? [] : headers });
};

/** What is left of a body is read and dropped up to so many bytes, and for so long: a body larger than any here is refused. */
const DRAINED_BYTES = 4 << 20;
const DRAINED_MS = 1000;

/** A request's body, read a chunk at a time. */
class Body {
  #stream;
  #reader;
  #ended = false;

  constructor(stream) {
    this.#stream = stream;
  }

  /** The next chunk; none at the end. */
  async next() {
    this.#reader ??= this.#stream.getReader();
    const { done, value } = await this.#reader.read();
    this.#ended = done;
    return value;
  }

  async drain() {
    if (this.#ended) return;
    const timer = setTimeout(() => this.#cancel(), DRAINED_MS);
    try {
      for (let left = DRAINED_BYTES; left > 0 && !this.#ended; ) left -= (await this.next())?.length ?? 0;
    } catch {
      // The client has gone away.
      this.#ended = true;
    }
    clearTimeout(timer);
    if (!this.#ended) this.#cancel();
  }

  #cancel() {
    this.#reader.cancel().catch(() => {});
  }
}

/** The bodies that somebody has begun to read. */
const bodies = new WeakMap();

/** The body of a request, if it has one. */
export const bodyOf = (request) => {
  if (request.body === null) return undefined;
  const body = new Body(request.body);
  bodies.set(request, body);
  return body;
};

/**
 * Reads what nobody has read of a request's body. A refusal comes before the body is read, and `wrangler dev` answers later
 * requests of a connection with 503 if a body was left or cancelled.
 */
export const drain = (request) => (bodies.get(request) ?? bodyOf(request))?.drain();
