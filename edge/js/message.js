// Passes requests and responses between the runtime and the module compiled from Rust.
// Each head is one text, because a call into the runtime for every header costs more than the headers themselves.

/** A request's method and URL, then its headers, one per line. A header value contains no line break. */
export const headOf = (request) => {
  let head = `${request.method} ${request.url}`;
  request.headers.forEach((value, name) => {
    head += `\n${name}:${value}`;
  });
  return head;
};

/** Makes a response with these headers, one per line as above. */
export const makeResponse = (status, head, body) => {
  const headers = head.split('\n').map((line) => {
    const end = line.indexOf(':');
    return [line.slice(0, end), line.slice(end + 1)];
  });
  // Copied, because the runtime reads the body later, when its memory has been reused.
  return new Response(body.length === 0 ? null : body.slice(), { status, headers: head === '' ? [] : headers });
};

/**
 * The limits for reading and discarding the rest of a body, in bytes and in milliseconds.
 * The service accepts no body as large as this.
 */
const DRAINED_BYTES = 4 << 20;
const DRAINED_MS = 1000;

/** A request's body, read in chunks. */
class Body {
  #stream;
  #reader;
  #ended = false;

  constructor(stream) {
    this.#stream = stream;
  }

  /** The next chunk, or undefined at the end. */
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
      // The client has disconnected.
      this.#ended = true;
    }
    clearTimeout(timer);
    if (!this.#ended) this.#cancel();
  }

  #cancel() {
    this.#reader.cancel().catch(() => {});
  }
}

/** The bodies that the service has started to read, by request. */
const bodies = new WeakMap();

/** The body of a request, or undefined if it has none. */
export const bodyOf = (request) => {
  if (request.body === null) return undefined;
  const body = new Body(request.body);
  bodies.set(request, body);
  return body;
};

/**
 * Reads and discards the unread rest of a request's body.
 *
 * A request may be refused before its body is read, and `wrangler dev` answers later requests on the connection with 503
 * if a body was left unread or cancelled.
 */
export const drain = (request) => (bodies.get(request) ?? bodyOf(request))?.drain();
