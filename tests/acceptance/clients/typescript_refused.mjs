// The TypeScript SDK, refused: prints one JSON object of what a plain and a streamed call threw.
import { readFileSync } from "node:fs";
import Anthropic from "@anthropic-ai/sdk";

const asked = JSON.parse(readFileSync(0, "utf8"));
const client = new Anthropic({ maxRetries: 5 });

async function told(calling) {
  try {
    await calling();
  } catch (problem) {
    return { type: problem.constructor.name, status: problem.status, text: problem.message };
  }
}

const result = {
  plain: await told(() => client.messages.create(asked)),
  streamed: await told(() => client.messages.stream(asked).finalMessage()),
};
console.log(JSON.stringify(result));
