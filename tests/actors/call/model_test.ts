/** A model request: one at a time, and it ends when nobody wants its answer any more. */

import assert from "node:assert/strict";
import { type FromModel, model, modelKind } from "@/actors/call/model.ts";
import { AppError } from "@/lib/errors.ts";
import type { ModelDelta, Prompt } from "@/lib/providers/llm/llm.ts";
import { actorKit } from "@/tests/support/actor_kit.ts";

const PROMPT: Prompt = {
  system: "",
  messages: [],
  tools: [],
  maxTokens: 10,
  temperature: 0,
};
const HELLO: ModelDelta = { type: "text", text: "Hello" };
const DONE: ModelDelta = { type: "finished", reason: "stop" };

type Answer = (signal: AbortSignal) => AsyncIterable<ModelDelta>;

function setUp(...answers: readonly Answer[]) {
  const { clock, system, settle } = actorKit();
  const told: FromModel[] = [];
  const signals: AbortSignal[] = [];
  const ref = system.spawn(modelKind, "model", () =>
    model({
      model: {
        provider: "test",
        respond(_prompt, signal) {
          const answer = answers[signals.push(signal) - 1];
          if (answer === undefined) throw new Error("Asked too often");
          return answer(signal);
        },
      },
      call: { send: (message) => told.push(message) > 0 },
    }));
  return {
    clock,
    settle,
    told,
    signals,
    withdraw: () => ref.send({ type: "withdraw" }),
    request: (request: number) => ref.send({ type: "request", request, prompt: PROMPT }),
    said: () => told.map((it) => it.type === "modelSaid" ? [it.request, it.item.type] : [it.type]),
  };
}

const whole: Answer = async function* () {
  yield HELLO;
  await null;
  yield DONE;
};
const hanging: Answer = async function* (signal) {
  yield HELLO;
  await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
};

Deno.test("an answer is told in order, with its end", async () => {
  const { request, settle, told } = setUp(whole);
  request(1);
  await settle();
  assert.deepEqual(told, [
    { type: "modelSaid", request: 1, item: { type: "item", value: HELLO } },
    { type: "modelSaid", request: 1, item: { type: "item", value: DONE } },
    { type: "modelSaid", request: 1, item: { type: "ended" } },
  ]);
});

Deno.test("withdraw aborts the request at the provider, and nothing more is told of it", async () => {
  const { request, withdraw, settle, said, signals } = setUp(hanging);
  request(1);
  await settle();
  withdraw();
  await settle();
  assert.equal(signals[0]?.aborted, true);
  assert.deepEqual(said(), [[1, "item"]]);
});

Deno.test("a new request takes the place of the one before", async () => {
  const { request, settle, said, signals } = setUp(hanging, whole);
  request(1);
  await settle();
  request(2);
  await settle();
  assert.deepEqual(signals.map((signal) => signal.aborted), [true, false]);
  assert.deepEqual(said(), [[1, "item"], [2, "item"], [2, "item"], [2, "ended"]]);
});

Deno.test("a provider's failure is told with its error", async () => {
  const error = new AppError("provider_failed", "Too many requests", { status: 429 });
  // deno-lint-ignore require-yield
  const failing: Answer = async function* () {
    await null;
    throw error;
  };
  const { request, settle, told } = setUp(failing);
  request(1);
  await settle();
  assert.deepEqual(told, [
    { type: "modelSaid", request: 1, item: { type: "failed", error } },
  ]);
});

Deno.test("a model actor that crashes says so when it is back, and takes the next request", async () => {
  // deno-lint-ignore require-yield
  const buggy: Answer = async function* () {
    await null;
    throw new TypeError("planted");
  };
  const { clock, request, said } = setUp(buggy, whole);
  request(1);
  await clock.advance(100);
  request(2);
  await clock.advance(100);
  assert.deepEqual(said(), [["modelLost"], [2, "item"], [2, "item"], [2, "ended"]]);
});
