/** The mind of a session: what it answers, in writing and in functions, as of any language model. */

import { providerError } from "@/lib/providers/http.ts";
import type { LanguageModel, ModelDelta, Prompt } from "@/lib/providers/llm/llm.ts";
import type { Answer, Piece } from "./answers.ts";
import type { AnswerEnd } from "./realtime.ts";
import type { Session } from "./session.ts";

/** Its sound is told as a sign of life: a word of no letters. Its answer is said by `sessionVoice`. */
export function sessionModel(session: Session): LanguageModel {
  return {
    provider: session.provider,
    async *respond(prompt, signal) {
      const leave = session.enter();
      let answer: Answer | null = null;
      try {
        await session.ready(signal);
        const { tools, maxTokens } = prompt;
        const isOther = session.setUp({ instructions: instructionsOf(prompt), tools, maxTokens });
        const isNews = session.inform(prompt.messages);
        answer = await session.ask(signal, !isOther && !isNews);
        let hasCalled = false;
        for await (const piece of answer.read(signal)) {
          hasCalled ||= piece.type === "toolCall";
          yield deltaOf(piece);
        }
        const { end } = answer;
        if (end?.type === "failed") throw failureOf(session.provider, end);
        yield { type: "usage", ...session.takeUsage() };
        const stopped = end?.type === "complete" || end?.type === "stopped";
        yield {
          type: "finished",
          reason: !stopped ? end?.type ?? "stop" : hasCalled ? "toolCalls" : "stop",
        };
      } finally {
        if (answer !== null) withdraw(session, answer);
        leave();
      }
    },
  };
}

/** What it has begun to say is no item yet: it is one once it was heard. */
function instructionsOf({ system, messages }: Prompt): string {
  const last = messages.at(-1);
  return last?.role === "agent" ? `${system}\n\nYour answer so far: "${last.text}"` : system;
}

/** What nobody was given to say is no part of the conversation; what was is cut to what was heard. */
function withdraw(session: Session, answer: Answer): void {
  if (answer.end !== null) return;
  session.stop(answer);
  if (answer.given === 0) session.truncate(answer, 0);
}

function deltaOf(piece: Piece): ModelDelta {
  switch (piece.type) {
    case "words":
      return { type: "text", text: piece.text };
    case "audio":
      return { type: "text", text: "" };
    case "toolCall":
      return piece;
  }
}

type Failed = Extract<AnswerEnd, { type: "failed" }>;

function failureOf(provider: string, { code, retryAfterS }: Failed): Error {
  const isLimit = code === "rate_limit_exceeded";
  return providerError(provider, `its answer failed: "${code}"`, {
    ...(isLimit ? { status: 429, retryAfterS: retryAfterS ?? undefined } : {}),
  });
}
