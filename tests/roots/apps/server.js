const server = require("node:http").createServer((request, response) => {
  let bytes = 0;
  request.on("data", (piece) => (bytes += piece.length));
  request.on("end", () => response.end(`node ${request.method} ${request.url} ${bytes}\n`));
});
process.on("SIGTERM", () => server.close(() => process.exit(0))); // before it listens: a signal may follow at once
server.listen(process.env.PORT);
