// WebSockets between the runtime and the module compiled from Rust.

/** Opens a socket to the object of a connection. Resolves to the response, with the client's end of the socket. */
export const connectSocket = async (object, accepted) => {
  const url = new URL('https://connection/');
  url.searchParams.set('accepted', accepted);
  const response = await object.fetch(url, { headers: { upgrade: 'websocket' } });
  if (response.status === 101) return response;
  throw new Error(`the object refused the socket: ${response.status}`);
};

/** In a connection's object: accepts a socket. `accept` receives the object's end, and the text of `connectSocket`. */
export const acceptSocket = (request, accept) => {
  const { 0: client, 1: server } = new WebSocketPair();
  accept(server, new URL(request.url).searchParams.get('accepted') ?? '');
  return new Response(null, { status: 101, webSocket: client });
};

/** Accepts a socket, and closes it at once. */
export const refuseSocket = (code, reason) => {
  const { 0: client, 1: server } = new WebSocketPair();
  server.accept();
  server.close(code, reason);
  return new Response(null, { status: 101, webSocket: client });
};

/** Codes that only a runtime may report (RFC 6455, section 7.4.1). */
const REPORTED = new Set([1005, 1006, 1015]);

/** Completes the closing handshake of a client. */
export const closeSocket = (socket, code, reason) => {
  try {
    if (REPORTED.has(code)) socket.close();
    else socket.close(code, reason);
  } catch {
    // A code that the runtime refuses to send, or a socket that is closed already.
    try {
      socket.close();
    } catch {
      // It is closed.
    }
  }
};
