/** The image's exact command, with its permissions and nothing else in its environment. */

import assert from "node:assert/strict";
import { buildImage, type Container } from "@/tests/support/image.ts";

/** What webhooks are signed with, and what operators show. */
const SECRETS = { TWILIO_AUTH_TOKEN: "carrier-token-123", OPERATOR_TOKEN: "operator-token-123" };

/** Starts the image on free ports; `at` is where it says that it serves. */
async function setUp(settings: Readonly<Record<string, string>>) {
  const image = await buildImage(await Deno.readTextFile("Dockerfile"));
  const container = image.start({
    PORT: "0",
    OPERATOR_PORT: "0",
    ...SECRETS,
    ...settings,
  });
  const greeting = await container.greeting;
  const at = / at (http:\/\/[^\s,]+)/.exec(greeting)?.[1] ?? assert.fail(greeting);
  const secrets = /(\S+secrets\.json)/.exec(greeting)?.[1] ?? assert.fail(greeting);
  return { at, secrets, container, remove: () => image.remove() };
}

async function status(url: string): Promise<number> {
  const response = await fetch(url);
  await response.body?.cancel();
  return response.status;
}

Deno.test("the image starts, is ready, and ends with 0 when it is told to stop", async () => {
  const { at, container, remove } = await setUp({});
  assert.deepEqual([await status(`${at}/alive`), await status(`${at}/ready`)], [200, 200]);
  assert.equal(await container.stop(), 0);
  await remove();
});

Deno.test("a call goes through the image, and its transcript is what was heard", async () => {
  const { at, secrets, container, remove } = await setUp({});
  const { demoKey } = JSON.parse(await Deno.readTextFile(secrets));
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "tests/load/call.ts", "--url", at, "--say", "Goodbye.", "--json"],
    env: { ...SECRETS, API_KEY: demoKey },
  }).output();
  const text = new TextDecoder();
  assert(success, text.decode(stdout) + text.decode(stderr));
  assert.equal(JSON.parse(text.decode(stdout)).transcriptMatches, true);
  assert.equal(await container.stop(), 0);
  await remove();
});

Deno.test("a person signs up at the image: passwords are hashed with its permissions", async () => {
  const { at, container, remove } = await setUp({});
  const post = async (path: string, body: unknown): Promise<number> => {
    const response = await fetch(`${at}/api/v1/auth/${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    await response.body?.cancel();
    return response.status;
  };
  const credentials = { email: "ada@example.com", password: "correct horse battery" };
  assert.equal(await post("signup", { ...credentials, name: "Ada", tenantName: "A" }), 201);
  assert.equal(await post("login", credentials), 200);
  assert.equal(await container.stop(), 0);
  await remove();
});

Deno.test("the image starts with the key of every provider, so that every SDK is loaded", async () => {
  const { at, container, remove } = await setUp({
    TWILIO_ACCOUNT_SID: `AC${"0".repeat(32)}`,
    DEEPGRAM_API_KEY: "d",
    OPENAI_API_KEY: "o",
    ANTHROPIC_API_KEY: "a",
    LLM_PROVIDER: "anthropic",
    ELEVENLABS_API_KEY: "e",
  });
  assert.equal(await status(`${at}/ready`), 200);
  assert.equal(await container.stop(), 0);
  await remove();
});

Deno.test("the image without a permission that it needs does not start", async () => {
  const dockerfile = (await Deno.readTextFile("Dockerfile")).replace('"--allow-write=/data", ', "");
  const image = await buildImage(dockerfile);
  const container: Container = image.start({ PORT: "0", OPERATOR_PORT: "0" });
  await assert.rejects(container.greeting, /write access/);
  await image.remove();
});
