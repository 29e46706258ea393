/** Models that are late, break off or refuse: what comes out is one answer. */

import assert from "node:assert/strict";
import { sleep } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import { newBreakers } from "@/lib/providers/failover/breaker.ts";
import { failoverModel } from "@/lib/providers/failover/model.ts";
import type { LanguageModel, ModelDelta, Prompt } from "@/lib/providers/llm/llm.ts";
import { LOST, WRONG_KEY } from "@/tests/support/faulty.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

type Part = string | number | AppError | ModelDelta; // a word, milliseconds of silence, an error, a delta

const PROMPT: Prompt = {
  system: "Be brief.",
  messages: [{ role: "caller", text: "Hello" }],
  tools: [],
  maxTokens: 100,
  temperature: 0,
};

/** Each request to a model is the next of its scripts; the last one again and again. */
function setUp(...scripts: readonly (readonly (readonly Part[])[])[]) {
  const clock = manualClock();
  const breakers = newBreakers(clock);
  const prompts: [model: number, Prompt][] = [];
  let open = 0;
  const models = scripts.map((requests, nth) => {
    let asked = 0;
    const provider: LanguageModel = {
      provider: `m${nth}`,
      async *respond(prompt, signal) {
        prompts.push([nth, prompt]);
        const parts = requests[Math.min(asked++, requests.length - 1)] ?? [];
        open++;
        try {
          for (const part of parts) {
            if (typeof part === "number") await sleep(clock, part, signal);
            else if (part instanceof AppError) throw part;
            else yield typeof part === "string" ? { type: "text", text: part } : part;
          }
          yield { type: "finished", reason: "stop" };
        } finally {
          open--;
        }
      },
    };
    return { provider, breaker: breakers.of(`m${nth}`) };
  });
  const model = failoverModel({ clock, models });

  /** The text, when its first word came, and the error it ended with. */
  async function answer(): Promise<{ text: string; firstMs: number | null; error: unknown }> {
    const startedAt = clock.now();
    let text = "";
    let firstMs: number | null = null;
    let error: unknown = null;
    const done = (async () => {
      try {
        for await (const delta of model.respond(PROMPT, new AbortController().signal)) {
          if (delta.type !== "text") continue;
          firstMs ??= clock.now() - startedAt;
          text += delta.text;
        }
      } catch (thrown) {
        error = thrown;
      }
    })();
    for (let ms = 0; ms < 20_000; ms += 100) await clock.advance(100);
    await done;
    return { text, firstMs, error };
  }
  return { answer, prompts, breakers, open: () => open, clock };
}

Deno.test("a model that works is asked once, and nothing else is", async () => {
  const { answer, prompts, open, clock } = setUp([[300, "Hello ", 50, "there."]], [["Never."]]);
  assert.deepEqual(await answer(), { text: "Hello there.", firstMs: 300, error: null });
  assert.equal(prompts.length, 1);
  assert.deepEqual([open(), clock.armed], [0, 0]);
});

Deno.test("a model without a word after 0.9 s gets a second one beside it, and the first to speak is heard", async () => {
  const slow = setUp([[5_000, "Late."]], [[200, "Second."]]);
  assert.deepEqual(await slow.answer(), { text: "Second.", firstMs: 1_100, error: null });
  assert.deepEqual([slow.open(), slow.clock.armed], [0, 0], "the loser is let go of");
  const justInTime = setUp([[1_000, "First."]], [[500, "Second."]]);
  assert.deepEqual(await justInTime.answer(), { text: "First.", firstMs: 1_000, error: null });
  const alone = setUp([[5_000, "Late."], [100, "Again."]]);
  assert.deepEqual(await alone.answer(), { text: "Again.", firstMs: 1_000, error: null });
});

Deno.test("a model that fails before a word is followed by the next at once", async () => {
  const { answer } = setUp([[100, LOST]], [[200, "Second."]]);
  assert.deepEqual(await answer(), { text: "Second.", firstMs: 300, error: null });
});

Deno.test("a model that breaks off, or falls silent, is gone on for: nothing is said twice", async () => {
  for (const fault of [LOST, 9_000]) {
    const { answer, prompts } = setUp([["We are open ", fault]], [["from nine to five."]]);
    assert.equal((await answer()).text, "We are open from nine to five.");
    const [, second] = prompts[1] ?? [];
    assert.deepEqual(second?.messages.at(-1), { role: "agent", text: "We are open " });
    assert.match(second?.system ?? "", /without repeating/);
  }
});

Deno.test("what broke off behind a function is over: it is not called again", async () => {
  const call: ModelDelta = { type: "toolCall", call: { id: "1", name: "book", arguments: "{}" } };
  const { answer, prompts } = setUp([["Done. ", call, LOST]], [["Never."]]);
  assert.deepEqual((await answer()).error, null);
  assert.equal(prompts.length, 1);
});

Deno.test("when all fail the last failure is told, within bounds", async () => {
  const { answer, prompts } = setUp([[100, LOST]], [[100, LOST]]);
  const { error, text } = await answer();
  assert.equal(text, "");
  assert.equal(error, LOST);
  assert.ok(prompts.length <= 4);
});

Deno.test("a refused key is no reason to ask the same one again, but to ask another", async () => {
  const { answer } = setUp([[WRONG_KEY]], [["Second."]]);
  assert.equal((await answer()).text, "Second.");
});

Deno.test("a model that is down is not asked by the calls after it, until it is probed", async () => {
  const { answer, prompts, breakers } = setUp([[100, LOST]], [[50, "Second."]]);
  for (let nth = 0; nth < 8; nth++) await answer();
  const asked = prompts.filter(([nth]) => nth === 0).length;
  assert.ok(breakers.view().some(({ phase }) => phase !== "closed"));
  assert.ok(asked >= 5 && asked <= 8, `${asked}`);
});

Deno.test("second requests are a tenth of all, beyond the first few", async () => {
  const { answer, prompts } = setUp([[1_000, "First."]], [[5_000, "Never."]]);
  for (let nth = 0; nth < 30; nth++) assert.equal((await answer()).text, "First.");
  assert.ok(prompts.filter(([nth]) => nth === 1).length <= 5 + 3);
});

Deno.test("a model that hangs is left alone after five turns at the most", async () => {
  const { answer, prompts, breakers } = setUp([[60_000, "Never."]], [[100, "Second."]]);
  for (let nth = 0; nth < 6; nth++) assert.equal((await answer()).text, "Second.");
  const asked = prompts.filter(([nth]) => nth === 0).length;
  assert.ok(asked <= 6, `${asked}`);
  assert.ok(breakers.view().some(({ name, opened }) => name === "m0" && opened > 0));
});
