// Calls every endpoint through the TypeScript SDK and prints one JSON object of what came back.
// Usage: node typescript_sdk.mjs EMULATOR_URL (the SDK's own base URL comes from the environment).
import Anthropic from "@anthropic-ai/sdk";

const emulator = process.argv[2];
const client = new Anthropic();
const model = "claude-opus-4-5";
const messages = [{ role: "user", content: "hello" }];
const base = { model, max_tokens: 500, messages };
const told = (orders) => ({ headers: { "x-emulator-answer": orders } });

async function admin(path, body) {
  const sent = { method: "POST", body: JSON.stringify(body) };
  await fetch(`${emulator}/emulator/${path}`, sent);
}

async function create() {
  const message = await client.messages.create(base);
  return { stop_reason: message.stop_reason, input_tokens: message.usage.input_tokens };
}

async function stream() {
  const running = client.messages.stream(base, told("output=200"));
  let text = "";
  running.on("text", (piece) => (text += piece));
  const final = await running.finalText();
  return { text, final };
}

async function cache() {
  const block = { type: "text", text: "with ".repeat(6000), cache_control: { type: "ephemeral" } };
  const first = await client.messages.create({ ...base, system: [block] });
  const second = await client.messages.create({ ...base, system: [block] });
  return {
    first: first.usage.cache_creation_input_tokens,
    second: second.usage.cache_read_input_tokens,
  };
}

async function toolRunner() {
  const tool = {
    name: "read",
    description: "Read a file",
    input_schema: { type: "object", properties: { path: { type: "string" } }, required: ["path"] },
    run: () => "contents",
    parse: (input) => input,
  };
  const asked = [{ role: "user", content: "[[emulator: tools=2]] go" }];
  const runner = client.beta.messages.toolRunner({ ...base, messages: asked, tools: [tool] });
  return (await runner.runUntilDone()).stop_reason;
}

async function batch() {
  const requests = [1, 2, 3, 4, 5].map((n) => ({ custom_id: `row-${n}`, params: base }));
  const created = await client.messages.batches.create({ requests });
  await admin("clock", { advance: 61 });
  const ended = await client.messages.batches.retrieve(created.id);
  let rows = 0;
  for await (const _ of await client.messages.batches.results(created.id)) rows += 1;
  return { created: created.processing_status, ended: ended.processing_status, rows };
}

async function error() {
  try {
    await client.messages.create({ ...base, max_tokens: -1 });
  } catch (problem) {
    return { status: problem.status, name: problem.constructor.name };
  }
}

async function retried() {
  await admin("faults", { fault: "status=529 retry-after=0.01", times: 2 });
  return (await client.messages.create(base)).stop_reason;
}

async function count(list) {
  let found = 0;
  for await (const _ of list) found += 1;
  return found;
}

const result = {
  create: await create(),
  stream: await stream(),
  cache: await cache(),
  count_tokens: (await client.messages.countTokens({ model, messages })).input_tokens,
  models: await count(client.models.list({ limit: 5 })),
  tool_runner: await toolRunner(),
  batch: await batch(),
  error: await error(),
  retried: await retried(),
};
console.log(JSON.stringify(result));
