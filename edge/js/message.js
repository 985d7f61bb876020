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
