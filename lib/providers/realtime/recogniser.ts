/** The ears of a session: what it hears of the caller, as of any recogniser. */

import { newAsyncQueue } from "@/lib/async_queue.ts";
import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import type { Recognition, SpeechToText } from "@/lib/providers/stt/stt.ts";
import { untilAborted } from "@/lib/until_aborted.ts";
import type { CallerEvent, Session } from "./session.ts";

/** Audio that a session hears again when the one before was lost: before speech, and of an utterance. */
const KEPT_QUIET_BYTES = 1_000 * BYTES_PER_MS;
const KEPT_SPEECH_BYTES = 6_000 * BYTES_PER_MS;
const EVENTS_MAX = 1_000;
/** That somebody speaks is known before a word of it is; so often, for as long as they do. */
const NO_WORDS_YET = "(speaking)";
const SPEAKING_EVERY_BYTES = 200 * BYTES_PER_MS;
/** The model has heard what its transcription has not understood. */
const NOT_UNDERSTOOD = "(not understood)";

export function sessionRecogniser(session: Session): SpeechToText {
  return {
    provider: session.provider,
    async *transcribe(audio, options, signal) {
      const { language, keyterms, endpointingMs, judgement } = options;
      session.setUp({
        language,
        keyterms,
        silenceMs: judgement === undefined ? endpointingMs : null,
      });
      const leave = session.enter();
      const left = new AbortController();
      const either = AbortSignal.any([signal, left.signal]);
      const events = newAsyncQueue<CallerEvent | { readonly type: "speaking" }>(EVENTS_MAX);
      const stop = session.listen((event) => events.push(event));
      let spokenBytes = 0; // since it was last told
      const kept: Uint8Array[] = [];
      let keptBytes = 0;
      let bytes = 0;
      let joined = -1; // the session that hears it
      let baseMs = 0; // of its time, where ours begins
      const reader = newReader();

      /** What was kept is heard by a session that has not heard it. */
      function join(): void {
        joined = session.life;
        baseMs = session.sentMs - (bytes - keptBytes) / BYTES_PER_MS;
        for (const piece of kept) session.hear(piece);
      }

      function keep(piece: Uint8Array): void {
        bytes += piece.length;
        keptBytes += piece.length;
        kept.push(piece);
        const max = reader.isOpen ? KEPT_SPEECH_BYTES : KEPT_QUIET_BYTES;
        while (keptBytes - (kept[0]?.length ?? 0) >= max) keptBytes -= kept.shift()?.length ?? 0;
      }

      async function feed(): Promise<void> {
        for await (const piece of untilAborted(audio, either)) {
          keep(piece);
          spokenBytes = reader.isSpeaking ? spokenBytes + piece.length : 0;
          if (spokenBytes >= SPEAKING_EVERY_BYTES) {
            spokenBytes = 0;
            events.push({ type: "speaking" });
          }
          if (session.isOpen && joined === session.life) session.hear(piece);
        }
        events.end();
      }

      let failure: { readonly error: unknown } | null = null;
      feed().catch((error) => {
        if (!either.aborted) failure = { error };
        events.end();
      });
      try {
        await session.ready(signal);
        join();
        for await (const event of untilAborted(events, signal)) {
          if (event.type === "speaking") {
            yield { type: "interim", text: NO_WORDS_YET, endMs: bytes / BYTES_PER_MS };
            continue;
          }
          if (event.type !== "lost") {
            yield* reader.read(event, baseMs);
            continue;
          }
          yield { type: "lost" };
          reader.forget();
          await session.ready(signal);
          join();
        }
        if (failure !== null) throw (failure as { readonly error: unknown }).error;
      } finally {
        left.abort();
        stop();
        leave();
      }
    },
  };
}

interface Reader {
  /** The caller speaks. */
  readonly isSpeaking: boolean;
  /** They do, or what they said is not known. */
  readonly isOpen: boolean;
  read(event: Exclude<CallerEvent, { type: "lost" }>, baseMs: number): Recognition[];
  /** The session was lost: what it was about to tell it never will. */
  forget(): void;
}

/** An utterance is over when the words of all that was said are there. */
function newReader(): Reader {
  /** Items whose words are not known, in their order; and when they were said. */
  const open = new Map<string, { startMs: number; endMs: number }>();
  let speaking: string | null = null;

  return {
    get isSpeaking() {
      return speaking !== null;
    },
    get isOpen() {
      return speaking !== null || open.size > 0;
    },
    forget() {
      open.clear();
      speaking = null;
    },
    read(event, baseMs) {
      const { itemId } = event;
      switch (event.type) {
        case "speechStarted": {
          const atMs = Math.max(0, event.atMs - baseMs);
          speaking = itemId;
          open.set(itemId, { startMs: atMs, endMs: atMs });
          return [
            { type: "speechStarted", atMs },
            { type: "interim", text: NO_WORDS_YET, endMs: atMs },
          ];
        }
        case "speechStopped": {
          if (speaking === itemId) speaking = null;
          const item = open.get(itemId);
          if (item !== undefined) item.endMs = Math.max(0, event.lastWordEndMs - baseMs);
          return [];
        }
        case "committed":
          return [];
        case "transcribing":
          return [{ type: "interim", text: event.text, endMs: open.get(itemId)?.endMs ?? 0 }];
        case "transcribed": {
          const item = open.get(itemId);
          if (item === undefined) return []; // of a time when somebody else was listening
          for (const id of open.keys()) { // they are told in their order: an earlier one is lost
            open.delete(id);
            if (id === itemId) break;
          }
          const { startMs, endMs } = item;
          const text = event.text ?? NOT_UNDERSTOOD;
          const told: Recognition[] = text === ""
            ? []
            : [{ type: "final", text, startMs, endMs, confidence: 1 }];
          if (open.size > 0) return told; // they have gone on meanwhile
          return [...told, { type: "utteranceEnded", lastWordEndMs: endMs }];
        }
      }
    },
  };
}
