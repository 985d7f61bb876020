// Opens a client for each line of the input, which is a session's token for server-sent events.
// Prints `open NAME` for each client, and the number and the latency in microseconds of each message.
//
// node clients.mjs sse|socketio ADDRESS

import { readFileSync } from "node:fs";
import { get } from "node:http";
import { io } from "socket.io-client";

const [kind, address] = process.argv.slice(2);
const tokens = readFileSync(0, "utf8").split("\n");
const AT_ONCE = 20;

function received(data) {
  const now = Math.round((performance.timeOrigin + performance.now()) * 1000);
  const [number, planned] = data.split(" ");
  console.log(`${number} ${now - Number(planned)}`);
}

function closed(reason) {
  console.log(`closed ${reason}`);
  process.exit(1);
}

const open = {
  sse: (token) =>
    new Promise((opened) => {
      const headers = { accept: "text/event-stream", authorization: `Bearer ${token}` };
      const request = get(`http://${address}/v1/connections`, { agent: false, headers }, (response) => {
        let rest = "";
        response.setEncoding("utf8");
        response.on("data", (chunk) => {
          const events = (rest + chunk).split("\n\n");
          rest = events.pop();
          for (const event of events) {
            const field = (name) => event.match(new RegExp(`^${name}: (.*)$`, "m"))?.[1];
            if (field("event") === "connection") opened(JSON.parse(field("data")).connection);
            else if (field("event")) closed(field("event"));
            else if (field("data")) received(field("data"));
          }
        });
        response.on("close", () => closed("stream"));
      });
      request.on("error", (error) => closed(error.message));
    }),
  socketio: () =>
    new Promise((opened) => {
      const socket = io(`http://${address}`, { forceNew: true, transports: ["websocket"] });
      socket.on("connect", () => opened(socket.id));
      socket.on("message", received);
      socket.on("disconnect", closed);
      socket.on("connect_error", (error) => closed(error.message));
    }),
}[kind];

while (tokens.length > 0) {
  const names = await Promise.all(tokens.splice(0, AT_ONCE).map(open));
  for (const name of names) console.log(`open ${name}`);
}
