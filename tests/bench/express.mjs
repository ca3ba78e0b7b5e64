// Dodo's official adapter as its README shows it, with a handler that does nothing.
// Prints its port, and the versions that answer.

import { createRequire } from "node:module";
import { Webhooks } from "@dodopayments/express";
import express from "express";

const { version } = createRequire(import.meta.url)("express/package.json");
const app = express();
app.use(express.json());
app.post(process.env.BENCH_PATH, Webhooks({
  webhookKey: process.env.BENCH_SECRET,
  onPayload: async () => {},
}));
const server = app.listen(0, "127.0.0.1", () => {
  console.log(server.address().port, `Node ${process.versions.node}, Express ${version}`);
});
