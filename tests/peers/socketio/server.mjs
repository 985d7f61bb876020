// One process of Socket.IO over Redis streams. `POST /v1/connections/SOCKET/messages` with `{"data": text}` sends to a client.
//
// node server.mjs PORT REDIS

import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-streams-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const [port, url] = process.argv.slice(2);

const redis = createClient({ url });
// It connects again by itself.
redis.on("error", (error) => console.error(error.message));
await redis.connect();

const http = createServer((request, response) => {
  const socket = request.url.split("/")[3];
  let body = "";
  request.setEncoding("utf8");
  request.on("data", (chunk) => (body += chunk));
  request.on("end", () => {
    io.to(socket).emit("message", JSON.parse(body).data);
    response.writeHead(202, { "Content-Length": 0 }).end();
  });
});
const io = new Server(http, {
  adapter: createAdapter(redis),
  serveClient: false,
  transports: ["websocket"],
});
http.listen(Number(port), "127.0.0.1");
