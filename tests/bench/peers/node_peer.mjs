// node node_peer.mjs receiver <port> | worker <url of BigCommerce>
//
// The least service that does the work, in Node.js without packages. It checks the signature, queues each order once,
// reads the order, creates the record with its two values, reads it back and notes that it is right. It has no shared
// budget of calls, no window, no second look, no log, no outcome to look at, and it does not share calls between
// orders. An order stays in a list of its worker until it is done, so that a worker that starts again goes on with it.
import { createHmac, timingSafeEqual } from "node:crypto";
import http from "node:http";
import net from "node:net";

const [QUEUE, ACTIVE, READY, VERIFIED] = ["peer:queue", "peer:active", "peer:ready", "peer:verified"];
const IN_FLIGHT = 200;
const SEEN_FOR_S = 86400;

// Redis over its Unix socket. Commands are pipelined; answers come in their order.
function connect(url) {
  const socket = net.connect(url.replace("unix://", ""));
  const waiting = [];
  let received = Buffer.alloc(0);
  socket.on("data", (data) => {
    received = received.length ? Buffer.concat([received, data]) : data;
    for (let parsed, at = 0; ; at = parsed.next) {
      parsed = parse(received, at);
      if (!parsed) {
        received = received.subarray(at);
        return;
      }
      const { resolve, reject } = waiting.shift();
      parsed.value instanceof Error ? reject(parsed.value) : resolve(parsed.value);
    }
  });
  const send = (...words) =>
    new Promise((resolve, reject) => {
      waiting.push({ resolve, reject });
      socket.write(`*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")}`);
    });
  return { send, close: () => socket.destroy() };
}

// The value at this place of the buffer, and where the next one begins; undefined while it is not complete.
function parse(buffer, at) {
  const end = buffer.indexOf("\r\n", at);
  if (end < 0) return undefined;
  const text = buffer.toString("latin1", at + 1, end);
  switch (buffer[at]) {
    case 0x2b: // +
      return { value: text, next: end + 2 };
    case 0x2d: // -
      return { value: new Error(text), next: end + 2 };
    case 0x3a: // :
      return { value: Number(text), next: end + 2 };
    case 0x24: { // $
      const length = Number(text);
      if (length < 0) return { value: null, next: end + 2 };
      const next = end + 2 + length + 2;
      return buffer.length < next ? undefined : { value: buffer.toString("utf8", end + 2, next - 2), next };
    }
    default:
      throw new Error(`Redis answers ${buffer.toString("latin1", at, end)}`);
  }
}

function receive(port, secret, redis) {
  const accept = async (request, body) => {
    const headers = request.headers;
    const right = createHmac("sha256", secret)
      .update(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.`)
      .update(body)
      .digest("base64");
    const [given, wanted] = [Buffer.from(headers["webhook-signature"] ?? ""), Buffer.from(`v1,${right}`)];
    if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return 401;
    const webhook = JSON.parse(body);
    const job = `${webhook.producer.replace("stores/", "")}:${webhook.data.id}`;
    const script =
      "if redis.call('SET', KEYS[1], 1, 'NX', 'EX', ARGV[2]) then redis.call('RPUSH', KEYS[2], ARGV[1]) end";
    await redis.send("EVAL", script, "2", `peer:seen:${job}`, QUEUE, job, `${SEEN_FOR_S}`);
    return 200;
  };
  const server = http.createServer((request, response) => {
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", async () => {
      let status = 200;
      try {
        if (request.url !== "/readyz") status = await accept(request, Buffer.concat(chunks));
      } catch {
        status = 503;
      }
      response.writeHead(status, { "content-length": 0 });
      response.end();
    });
  });
  server.listen(port, "127.0.0.1");
}

async function work(base, token, redis, queue) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: IN_FLIGHT });
  const { hostname, port } = new URL(base);
  const call = (method, path, store, sent) =>
    new Promise((resolve, reject) => {
      const body = sent && JSON.stringify(sent);
      const headers = { "X-Auth-Token": token, "X-Store-Hash": store };
      if (body) Object.assign(headers, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) });
      const request = http.request({ agent, hostname, port, method, path, headers }, (response) => {
        const chunks = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const text = Buffer.concat(chunks).toString();
          response.statusCode === 200 ? resolve(JSON.parse(text)) : reject(new Error(`${response.statusCode} ${text}`));
        });
      });
      request.on("error", reject);
      request.end(body);
    });
  const enrich = async (job) => {
    const [store, id] = job.split(":");
    const order = await call("GET", `/stores/${store}/v2/orders/${id}`, store);
    const form = Object.fromEntries(order.billing_address.form_fields.map(({ name, value }) => [name, value]));
    const poNumber = form["PO Number"];
    const extraFields = [{ fieldName: "Account No", fieldValue: form["Account No"] }];
    const sent = { bcOrderId: Number(id), customerId: order.customer_id, poNumber, extraFields };
    await call("POST", "/api/v3/io/orders", store, sent);
    const { data } = await call("GET", `/api/v3/io/orders/${id}`, store);
    const field = data.extraFields.find(({ fieldName }) => fieldName === "Account No");
    if (data.poNumber !== poNumber || field?.fieldValue !== form["Account No"]) throw new Error(JSON.stringify(data));
    await Promise.all([redis.send("ZADD", VERIFIED, `${Date.now() / 1000}`, job), redis.send("LREM", ACTIVE, "1", job)]);
  };
  while ((await redis.send("LMOVE", ACTIVE, QUEUE, "RIGHT", "LEFT")) !== null);
  await redis.send("SET", READY, "1");
  const running = new Set();
  for (;;) {
    const job = await queue.send("BLMOVE", QUEUE, ACTIVE, "LEFT", "RIGHT", "0");
    const done = enrich(job).catch(async (error) => {
      console.error(job, error.message);
      await Promise.all([redis.send("RPUSH", QUEUE, job), redis.send("LREM", ACTIVE, "1", job)]);
    });
    running.add(done);
    done.finally(() => running.delete(done));
    if (running.size >= IN_FLIGHT) await Promise.race(running);
  }
}

const [, , mode, where] = process.argv;
const { REDIS_URL, BENCH_SECRET, BENCH_TOKEN } = process.env;
process.on("SIGTERM", () => process.exit(0));
if (mode === "receiver") receive(Number(where), BENCH_SECRET, connect(REDIS_URL));
else await work(where, BENCH_TOKEN, connect(REDIS_URL), connect(REDIS_URL));
