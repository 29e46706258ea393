/** What every language model behind a streamed HTTP API must do, against a server that speaks its protocol. */

import assert from "node:assert/strict";
import { type Clock, systemClock } from "@/lib/clock.ts";
import type { LanguageModel, ModelDelta, Prompt } from "@/lib/providers/llm/llm.ts";
import type { AnswerLimits } from "@/lib/providers/llm/receive.ts";
import { type Script, simulatedModel } from "@/lib/providers/llm/simulated.ts";
import { Secret } from "@/lib/secret.ts";
import { demoAgent, demoCaller } from "@/lib/workflow/demo.ts";
import { type ProviderBehaviour, testLanguageModel } from "./contract_llm.ts";
import type { ModelServer, ModelServerOptions, ServerBehaviour } from "./model_server.ts";
import { talk } from "./text_call.ts";

export interface Account extends AnswerLimits {
  readonly apiKey: Secret;
  readonly baseUrl: string;
}

/** A protocol's server and the adapter that speaks to it. */
export interface ModelPair<R> {
  readonly name: string;
  start(options: ModelServerOptions): Promise<ModelServer<R>>;
  make(account: Account): LanguageModel;
  /** Events of an answer before its first text. */
  readonly headEvents: number;
}

export interface ModelSet<R> extends AsyncDisposable {
  readonly server: ModelServer<R>;
  readonly model: LanguageModel;
}

export interface SetOptions {
  readonly clock?: Clock;
  readonly script?: Script;
  readonly limitMs?: number;
  readonly apiKey?: string;
}

export async function modelSet<R>(
  pair: ModelPair<R>,
  { script, limitMs = 60_000, apiKey = "sk-test", clock = systemClock }: SetOptions = {},
): Promise<ModelSet<R>> {
  const brain = simulatedModel({
    clock: systemClock,
    firstTokenMs: 0,
    tokenMs: 0,
    ...(script ? { script } : {}),
  });
  const server = await pair.start({ brain });
  const model = pair.make({
    apiKey: new Secret(apiKey),
    baseUrl: server.url,
    clock,
    firstTokenMs: limitMs,
    gapMs: limitMs,
  });
  return { server, model, [Symbol.asyncDispose]: () => server.close() };
}

export const BRIEF: Prompt = {
  system: "Be brief.",
  messages: [{ role: "caller", text: "Hello." }],
  tools: [],
  maxTokens: 50,
  temperature: 0,
};

const signal = new AbortController().signal;

export function testModelOverHttp<R>(pair: ModelPair<R>): void {
  const { name, headEvents } = pair;
  const textEvents = headEvents + 1;

  function behaviourOf(behaviour: ProviderBehaviour): ServerBehaviour {
    switch (behaviour.type) {
      case "good":
        return { type: "answer" };
      case "status":
        return behaviour;
      case "broken":
        return { type: "lost", afterChunks: textEvents };
      case "garbage":
        return { type: "garbage", kind: "json" };
      case "hang":
        return { type: "hang", afterChunks: behaviour.afterText ? textEvents : null };
    }
  }

  testLanguageModel(name, async (behaviour) => {
    const { server, model } = await modelSet(pair, {
      limitMs: behaviour.type === "hang" ? 40 : 60_000,
    });
    server.behave(behaviourOf(behaviour));
    return { model, close: () => server.close() };
  });

  Deno.test(`${name} holds a whole call over HTTP, as the model behind the server would alone`, async () => {
    await using set = await modelSet(pair);
    const overHttp = await talk({ graph: demoAgent, model: set.model }, demoCaller);
    const clock = systemClock;
    const alone = simulatedModel({ clock, firstTokenMs: 0, tokenMs: 0 });
    const direct = await talk({ graph: demoAgent, model: alone }, demoCaller);
    assert.deepEqual(overHttp, direct);
    assert.equal(overHttp.state.outcome, "booked");
  });

  Deno.test(`${name} puts several calls together from interleaved text and awkward pieces`, async () => {
    const toolCalls = [
      { name: "one", arguments: JSON.stringify({ name: "Zoë Müller 🦷", note: '"quoted"\n' }) },
      { name: "two", arguments: "{}" },
    ];
    await using set = await modelSet(pair, { script: [{ text: "Grüße, Zoë 🦷!", toolCalls }] });
    const deltas = await Array.fromAsync(set.model.respond(BRIEF, signal));
    const text = deltas.map((delta) => delta.type === "text" ? delta.text : "").join("");
    const calls = deltas.flatMap((delta) => delta.type === "toolCall" ? [delta.call] : []);
    assert.equal(text, "Grüße, Zoë 🦷!");
    assert.deepEqual(
      calls.map(({ name, arguments: json }) => ({ name, arguments: json })),
      toolCalls,
    );
    assert.equal(new Set(calls.map((call) => call.id)).size, 2);
  });

  for (const kind of ["shape", "html", "error"] as const) {
    Deno.test(`${name} fails on an answer that is wrong in another way: ${kind}`, async () => {
      await using set = await modelSet(pair);
      set.server.behave({ type: "garbage", kind });
      await assert.rejects(Array.fromAsync(set.model.respond(BRIEF, signal)), {
        code: "provider_failed",
      });
    });
  }

  Deno.test(`${name} fails when an answer ends without its end`, async () => {
    await using set = await modelSet(pair);
    set.server.behave({ type: "short", afterChunks: textEvents });
    await assert.rejects(Array.fromAsync(set.model.respond(BRIEF, signal)), {
      code: "provider_failed",
      retryable: true,
    });
  });

  Deno.test(`${name} fails when nobody listens at its address`, async () => {
    const set = await modelSet(pair);
    await set.server.close();
    await assert.rejects(Array.fromAsync(set.model.respond(BRIEF, signal)), {
      code: "provider_failed",
      retryable: true,
    });
  });

  Deno.test(`${name} hangs up on the server when aborted, while it waits`, async () => {
    for (const afterChunks of [null, textEvents]) {
      await using set = await modelSet(pair, { script: [{ text: "One two three four five." }] });
      set.server.behave({ type: "hang", afterChunks });
      const controller = new AbortController();
      const reason = new Error("barge-in");
      const reading = Array.fromAsync(set.model.respond(BRIEF, controller.signal));
      while (set.server.requests.length === 0) await set.server.change();
      controller.abort(reason);
      await assert.rejects(reading, reason);
      while (set.server.lastEnd === undefined) await set.server.change();
      assert.equal(set.server.lastEnd, "hungUp");
    }
  });

  Deno.test(`${name} counts only its own waiting, not that of a slow reader`, async () => {
    let armedCount = 0;
    const clock: Clock = {
      ...systemClock,
      timer(ms, callback) {
        const cancel = systemClock.timer(ms, callback);
        let isArmed = true;
        armedCount++;
        return () => {
          if (isArmed) armedCount--;
          isArmed = false;
          cancel();
        };
      },
    };
    await using set = await modelSet(pair, { script: [{ text: "One two three." }], clock });
    const deltas: ModelDelta[] = [];
    for await (const delta of set.model.respond(BRIEF, signal)) {
      deltas.push(delta);
      assert.equal(armedCount, 0);
    }
    assert.equal(deltas.at(-1)?.type, "finished");
  });

  Deno.test(`${name} shows no key in what it throws`, async () => {
    await using set = await modelSet(pair, { apiKey: "sk-secret-1" });
    const error = await Array.fromAsync(set.model.respond(BRIEF, signal)).catch((error) => error);
    assert.equal(error.status, 401);
    assert.doesNotMatch(Deno.inspect(error, { depth: 9 }), /sk-/);
  });
}
