/** What every language model must do, run by the test of each. */

import assert from "node:assert/strict";
import { AppError } from "@/lib/errors.ts";
import type { LanguageModel, ModelDelta, Prompt } from "@/lib/providers/llm/llm.ts";

/** How the provider behind a model behaves. `broken`: its connection is lost after some text. */
export type ProviderBehaviour =
  | { readonly type: "good" }
  | { readonly type: "status"; readonly status: 401 | 429 | 503 }
  | { readonly type: "broken" }
  | { readonly type: "garbage" }
  /** Says nothing, or nothing more after some text. A model with limits of its own gives up soon. */
  | { readonly type: "hang"; readonly afterText: boolean };

export interface ModelUnderTest {
  readonly model: LanguageModel;
  close(): Promise<void>;
}

/** Makes a model that asks `Is it Monday?` for `day`, and calls `set_day` once the caller has named one. */
export function testLanguageModel(
  name: string,
  make: (behaviour: ProviderBehaviour) => Promise<ModelUnderTest>,
): void {
  function test(
    sentence: string,
    behaviour: ProviderBehaviour,
    check: (model: LanguageModel) => Promise<void>,
  ): void {
    Deno.test(`${name} ${sentence}`, async () => {
      const { model, close } = await make(behaviour);
      try {
        await check(model);
      } finally {
        await close();
      }
    });
  }

  test("streams a text in pieces, then finishes", { type: "good" }, async (model) => {
    const deltas = await Array.fromAsync(model.respond(asking, never()));
    const texts = deltas.flatMap((delta) => delta.type === "text" ? [delta.text] : []);
    assert.ok(texts.length > 1);
    assert.equal(texts.join(""), "Is it Monday?");
    assert.deepEqual(deltas.at(-1), { type: "finished", reason: "stop" });
  });

  test("sends a tool call whole, and says that it did", { type: "good" }, async (model) => {
    const deltas = await Array.fromAsync(model.respond(answered, never()));
    const calls = deltas.flatMap((delta) => delta.type === "toolCall" ? [delta.call] : []);
    assert.equal(calls.length, 1);
    assert.equal(calls[0]?.name, "set_day");
    assert.deepEqual(JSON.parse(calls[0]?.arguments ?? ""), { day: "Friday" });
    assert.ok(calls[0]?.id);
    assert.deepEqual(deltas.at(-1), { type: "finished", reason: "toolCalls" });
  });

  test("tells what the reply used", { type: "good" }, async (model) => {
    const deltas = await Array.fromAsync(model.respond(asking, never()));
    const usage = deltas.filter((delta) => delta.type === "usage");
    assert.equal(usage.length, 1);
    assert.ok((usage[0]?.inputTokens ?? 0) > 0);
    assert.ok((usage[0]?.outputTokens ?? 0) > 0);
  });

  for (const [status, retryable] of [[401, false], [429, true], [503, true]] as const) {
    const how = retryable ? "retryable" : "final";
    test(`fails on ${status}, which is ${how}`, { type: "status", status }, async (model) => {
      await assert.rejects(Array.fromAsync(model.respond(asking, never())), {
        name: "AppError",
        code: "provider_failed",
        status,
        retryable,
      });
    });
  }

  test(
    "gives what came before a lost connection, then fails",
    { type: "broken" },
    async (model) => {
      const { text, error } = await readAll(model.respond(asking, never()));
      assert.ok(text.length > 0 && "Is it Monday?".startsWith(text));
      assert.ok(error instanceof AppError);
      assert.equal(error.code, "provider_failed");
      assert.equal(error.retryable, true);
    },
  );

  test("fails on nonsense", { type: "garbage" }, async (model) => {
    const { error } = await readAll(model.respond(asking, never()));
    assert.ok(error instanceof AppError);
    assert.equal(error.code, "provider_failed");
  });

  for (const afterText of [false, true]) {
    const when = afterText ? "in mid-answer" : "before its first word";
    test(`gives up on a silence ${when}`, { type: "hang", afterText }, async (model) => {
      const { text, error } = await readAll(model.respond(asking, never()));
      assert.equal(text.length > 0, afterText);
      assert.ok(error instanceof AppError);
      assert.equal(error.code, "provider_failed");
      assert.equal(error.retryable, true);
    });
  }

  test("sends nothing when it was aborted before", { type: "good" }, async (model) => {
    const reason = new Error("barge-in");
    const { text, error } = await readAll(model.respond(asking, AbortSignal.abort(reason)));
    assert.deepEqual({ text, error }, { text: "", error: reason });
  });

  test(
    "ends with the signal's reason when aborted in mid-answer",
    { type: "good" },
    async (model) => {
      const controller = new AbortController();
      const reason = new Error("barge-in");
      let count = 0;
      await assert.rejects(async () => {
        for await (const delta of model.respond(asking, controller.signal)) {
          assert.equal(delta.type, "text");
          assert.equal(++count, 1, "nothing comes after the abort");
          controller.abort(reason);
        }
      }, reason);
    },
  );

  test("can be left in mid-answer", { type: "good" }, async (model) => {
    for await (const delta of model.respond(asking, never())) {
      assert.equal(delta.type, "text");
      break;
    }
  });
}

const tools = [{
  name: "set_day",
  description: "The day is known.",
  parameters: {
    type: "object",
    properties: { day: { type: "string", description: 'The day. Ask: "Is it Monday?"' } },
    required: ["day"],
    additionalProperties: false,
  },
}];

const asking: Prompt = {
  system: "You ask for a day.",
  messages: [{ role: "agent", text: "Hello." }, { role: "caller", text: "Grüß Gott." }],
  tools,
  maxTokens: 100,
  temperature: 0,
};

const answered: Prompt = {
  ...asking,
  messages: [
    ...asking.messages,
    { role: "agent", text: "Is it Monday?" },
    { role: "caller", text: "No, Friday." },
  ],
};

function never(): AbortSignal {
  return new AbortController().signal;
}

async function readAll(
  deltas: AsyncIterable<ModelDelta>,
): Promise<{ text: string; error: unknown }> {
  let text = "";
  try {
    for await (const delta of deltas) if (delta.type === "text") text += delta.text;
  } catch (error) {
    return { text, error };
  }
  return { text, error: null };
}
