/** Several language models as one: the first that speaks is heard, and one that breaks off is gone on for. */

import type { Cancel, Clock } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import type { LanguageModel, ModelDelta, Prompt } from "@/lib/providers/llm/llm.ts";
import { GO_ON } from "@/lib/providers/llm/prompts.ts";
import { providerError } from "@/lib/providers/http.ts";
import { type Guarded, mayHelp, note } from "./guarded.ts";

/** Without a first word for so long a second request is sent beside the first (Twilio's limit for it is 750 ms). */
export const FIRST_TOKEN_MS = 900;
/** Neither has said a word by then. */
export const FIRST_TOKEN_MAX_MS = 2_500;
/** Between two words. */
export const GAP_MS = 1_500;
/** Requests of one reply: a hedge, and who goes on where one broke off. */
const ATTEMPTS_MAX = 4;
/** Second requests beside a first one: so many, and this part of all requests. */
const HEDGES_FREE = 5;
const HEDGES_SHARE = 0.1;

export interface ModelFailoverOptions {
  readonly clock: Clock;
  /** In their order; at least one. Of a single one the second request goes to it as well. */
  readonly models: readonly Guarded<LanguageModel>[];
}

interface Attempt {
  readonly nth: number;
  readonly startedAt: number;
  readonly deltas: AsyncIterator<ModelDelta>;
  /** Of its next item, which is asked for once. */
  next: Promise<Settled>;
  readonly stop: AbortController;
}

type Settled =
  | { readonly attempt: Attempt; readonly type: "item"; readonly delta: ModelDelta }
  | { readonly attempt: Attempt; readonly type: "ended" }
  | { readonly attempt: Attempt; readonly type: "failed"; readonly error: unknown };

export function failoverModel({ clock, models }: ModelFailoverOptions): LanguageModel {
  const of = (nth: number): Guarded<LanguageModel> => {
    const model = models[nth];
    if (model === undefined) throw new Error(`No model ${nth} to ask`);
    return model;
  };
  let requests = 0;
  let hedges = 0;

  function mayHedge(): boolean {
    return hedges < HEDGES_FREE + HEDGES_SHARE * requests;
  }

  /** The next model to be asked, behind those of `after`; the same ones again when there is no other. */
  function choose(after: number): number | null {
    for (let step = 1; step <= models.length; step++) {
      const nth = (after + step) % models.length;
      if (models[nth]?.breaker.take()) return nth;
    }
    return null;
  }

  function ask(nth: number, prompt: Prompt, signal: AbortSignal): Attempt {
    const stop = new AbortController();
    const { provider } = of(nth);
    const deltas = provider.respond(prompt, AbortSignal.any([signal, stop.signal]))
      [Symbol.asyncIterator]();
    const attempt: Attempt = {
      nth,
      startedAt: clock.now(),
      deltas,
      next: Promise.resolve() as never,
      stop,
    };
    advance(attempt);
    return attempt;
  }

  function advance(attempt: Attempt): void {
    attempt.next = attempt.deltas.next().then(
      ({ done, value }): Settled =>
        done ? { attempt, type: "ended" } : { attempt, type: "item", delta: value },
      (error): Settled => ({ attempt, type: "failed", error }),
    );
  }

  function drop(attempt: Attempt): void {
    attempt.stop.abort(new AppError("provider_failed", "Another model was faster"));
    attempt.next.then(() => {});
    const { breaker } = of(attempt.nth);
    // Whoever let another be faster by so much has failed the caller.
    if (clock.now() - attempt.startedAt > FIRST_TOKEN_MS) breaker.failed();
    else breaker.abandoned();
  }

  /** Settles with whoever says something next, or null after so long. */
  async function race(attempts: readonly Attempt[], ms: number): Promise<Settled | null> {
    let cancel: Cancel = () => {};
    const late = new Promise<null>((resolve) => cancel = clock.timer(ms, () => resolve(null)));
    try {
      return await Promise.race([...attempts.map((it) => it.next), late]);
    } finally {
      cancel();
    }
  }

  async function* respond(prompt: Prompt, signal: AbortSignal): AsyncGenerator<ModelDelta> {
    requests++;
    let asked = 0;
    let said = "";
    let hasCalled = false;
    let failure: unknown = unavailable();
    let last = models.length - 1; // the first of all comes next
    let running: Attempt[] = [];

    /** False when nobody is left to ask. */
    const askNext = (): boolean => {
      const nth = asked < ATTEMPTS_MAX ? choose(last) : null;
      if (nth === null) return false;
      asked++;
      last = nth;
      running.push(ask(nth, said === "" ? prompt : goOn(prompt, said), signal));
      return true;
    };
    const failed = (attempt: Attempt, error: unknown): void => {
      failure = error;
      running = running.filter((it) => it !== attempt);
      note(of(attempt.nth).breaker, error);
    };

    try {
      if (!askNext()) throw failure;
      for (;;) { // a stretch of one model's words
        const startedAt = clock.now();
        let speaker: Attempt | null = null;
        let isHedged = false;
        while (running.length > 0) {
          const waitMs: number = speaker !== null
            ? GAP_MS
            : isHedged
            ? Math.max(0, startedAt + FIRST_TOKEN_MAX_MS - clock.now())
            : FIRST_TOKEN_MS;
          const settled = await race(speaker === null ? running : [speaker], waitMs);
          if (signal.aborted) throw signal.reason;
          if (settled === null) {
            if (speaker === null && !isHedged) {
              isHedged = true;
              if (mayHedge() && askNext()) hedges++;
              continue;
            }
            for (const attempt of speaker === null ? [...running] : [speaker]) {
              attempt.stop.abort();
              failed(attempt, silent(of(attempt.nth).provider.provider, waitMs));
            }
            break;
          }
          const { attempt } = settled;
          if (settled.type === "failed") {
            failed(attempt, settled.error);
            if (speaker !== null || running.length === 0) break;
            continue;
          }
          if (speaker === null) {
            speaker = attempt;
            for (const other of running) if (other !== attempt) drop(other);
            running = [attempt];
          }
          if (settled.type === "ended") {
            of(attempt.nth).breaker.succeeded();
            return;
          }
          const { delta } = settled;
          if (delta.type === "text") said += delta.text;
          if (delta.type === "toolCall") hasCalled = true;
          yield delta;
          advance(attempt);
        }
        // What was called is done already: an answer that breaks off behind it is over.
        if (hasCalled) return;
        if (!mayHelp(failure, asked >= ATTEMPTS_MAX) || !askNext()) throw failure;
      }
    } finally {
      for (const attempt of running) attempt.stop.abort();
    }
  }

  return { provider: models.map(({ provider }) => provider.provider).join("+"), respond };
}

/** What was given so far is told to who goes on. */
function goOn(prompt: Prompt, said: string): Prompt {
  return {
    ...prompt,
    system: `${prompt.system}\n\n${GO_ON}`,
    messages: [...prompt.messages, { role: "agent", text: said }],
  };
}

function silent(provider: string, ms: number): AppError {
  return providerError(provider, `it said nothing for ${Math.round(ms)} ms`);
}

function unavailable(): AppError {
  return new AppError("provider_failed", "No language model can be asked now: all have failed", {
    retryable: true,
  });
}
