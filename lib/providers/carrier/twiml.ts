/** TwiML, the few verbs we answer with. https://www.twilio.com/docs/voice/twiml */

import type { RelaySetup } from "./relay.ts";

export type Verb =
  /** Hands the call to a media socket; asks `actionUrl` for more TwiML when the socket has ended. */
  | {
    readonly type: "connect";
    readonly actionUrl: string;
    readonly streamUrl: string;
    readonly parameters: Readonly<Record<string, string>>;
    /** Present: Twilio hears and speaks, and the socket carries text. https://www.twilio.com/docs/voice/twiml/connect/conversationrelay */
    readonly relay?: RelaySetup;
  }
  /** Asks another URL for TwiML, by POST. */
  | { readonly type: "redirect"; readonly url: string }
  /** Refuses a call that has not been answered: the caller hears the busy tone, and nobody pays. */
  | { readonly type: "rejectBusy" }
  /** Dials a number for the caller, E.164; asks `actionUrl` when that is over, by `DialCallStatus`. https://www.twilio.com/docs/voice/twiml/dial */
  | { readonly type: "dial"; readonly to: string; readonly actionUrl: string }
  /** Dials a SIP address for the caller, headers in its query. https://www.twilio.com/docs/voice/twiml/sip */
  | {
    readonly type: "dialSip";
    readonly uri: string;
    readonly login: { readonly username: string; readonly password: string } | null;
    readonly actionUrl: string;
  }
  /** Hands the call to a media socket that is not ours. */
  | { readonly type: "stream"; readonly url: string }
  /** `voice`: the language of the carrier's voice, BCP 47; absent or null: English. https://www.twilio.com/docs/voice/twiml/say */
  | { readonly type: "say"; readonly sentence: string; readonly voice?: string | null }
  /** Says a sentence, or nothing, and then asks `actionUrl` with the one key that is pressed; after so long the next verb follows. https://www.twilio.com/docs/voice/twiml/gather */
  | {
    readonly type: "gatherKey";
    readonly sentence: string | null;
    readonly voice?: string | null;
    readonly seconds: number;
    readonly actionUrl: string;
  }
  /** Whole seconds of silence. https://www.twilio.com/docs/voice/twiml/pause */
  | { readonly type: "pause"; readonly seconds: number }
  | { readonly type: "hangUp" };

/** A whole TwiML document. Without verbs it is the empty one, which ends the call. */
export function twiml(...verbs: readonly Verb[]): string {
  return `<?xml version="1.0" encoding="UTF-8"?><Response>${
    verbs.map(element).join("")
  }</Response>`;
}

function element(verb: Verb): string {
  switch (verb.type) {
    case "connect": {
      const parameters = Object.entries(verb.parameters)
        .map(([name, value]) => `<Parameter name="${escape(name)}" value="${escape(value)}"/>`);
      const stream = verb.relay === undefined
        ? `<Stream url="${escape(verb.streamUrl)}">${parameters.join("")}</Stream>`
        : `<ConversationRelay url="${escape(verb.streamUrl)}"${relayAttributes(verb.relay)}>` +
          `${parameters.join("")}</ConversationRelay>`;
      return `<Connect action="${escape(verb.actionUrl)}">${stream}</Connect>`;
    }
    case "redirect":
      return `<Redirect>${escape(verb.url)}</Redirect>`;
    case "rejectBusy":
      return `<Reject reason="busy"/>`;
    case "dial":
      return `<Dial action="${escape(verb.actionUrl)}"><Number>${escape(verb.to)}</Number></Dial>`;
    case "dialSip": {
      const { uri, login, actionUrl } = verb;
      const shown = login === null
        ? ""
        : ` username="${escape(login.username)}" password="${escape(login.password)}"`;
      return `<Dial action="${escape(actionUrl)}"><Sip${shown}>${escape(uri)}</Sip></Dial>`;
    }
    case "stream":
      return `<Connect><Stream url="${escape(verb.url)}"/></Connect>`;
    case "say":
      return say(verb.sentence, verb.voice);
    case "gatherKey": {
      const said = verb.sentence === null ? "" : say(verb.sentence, verb.voice);
      const { seconds, actionUrl } = verb;
      return `<Gather input="dtmf" numDigits="1" timeout="${seconds}" action="${
        escape(actionUrl)
      }">` +
        `${said}</Gather>`;
    }
    case "pause":
      return `<Pause length="${verb.seconds}"/>`;
    case "hangUp":
      return `<Hangup/>`;
  }
}

function say(sentence: string, voice: string | null = null): string {
  const language = voice === null ? "" : ` language="${escape(voice)}"`;
  return `<Say${language}>${escape(sentence)}</Say>`;
}

/** Without a welcome greeting: the agent's own is text like all that it says. */
function relayAttributes(relay: RelaySetup): string {
  const attributes = {
    language: relay.language,
    ttsProvider: relay.ttsProvider,
    voice: relay.voice,
    transcriptionProvider: relay.transcriptionProvider,
    speechModel: relay.speechModel,
    hints: relay.hints.length === 0 ? null : relay.hints.join(","),
    interruptible: relay.isInterruptible ? "speech" : "none",
    ignoreBackchannel: String(relay.ignoresBackchannels),
    preemptible: "true",
    partialPrompts: "true",
    dtmfDetection: "true",
    events: "speaker-events tokens-played",
  };
  return Object.entries(attributes)
    .map(([name, value]) => value === null ? "" : ` ${name}="${escape(value)}"`)
    .join("");
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&apos;",
};

/** Text and attribute values alike. Drops what XML 1.0 §2.2 cannot carry: control characters, lone surrogates. */
function escape(text: string): string {
  return text
    // deno-lint-ignore no-control-regex
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/gu, "")
    .replace(/[&<>"']/g, (character) => ENTITIES[character] ?? "");
}
