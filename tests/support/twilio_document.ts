/** TwiML as the carrier reads it: strictly, since a wrong document is a dead call. */

/** The verbs that are played. What Twilio knows and we do not say is refused, so that a test notices. */
export type PlayedVerb =
  | {
    readonly type: "Connect";
    readonly actionUrl: string | undefined;
    readonly streamUrl: string;
    readonly parameters: Readonly<Record<string, string>>;
    /** Attributes of a `<ConversationRelay>`; absent: it is a `<Stream>`. */
    readonly relay?: Readonly<Record<string, string>>;
  }
  | { readonly type: "Redirect"; readonly url: string }
  | { readonly type: "Reject"; readonly reason: string }
  | { readonly type: "Dial"; readonly to: string; readonly actionUrl: string }
  /** `voice`: the language that is named; absent: none, which is English. */
  | { readonly type: "Say"; readonly sentence: string; readonly voice?: string }
  | { readonly type: "Pause"; readonly seconds: number }
  /** Of one key. */
  | {
    readonly type: "Gather";
    readonly sentence: string | null;
    readonly voice?: string;
    readonly seconds: number;
    readonly actionUrl: string;
  }
  | { readonly type: "Hangup" };

/** Throws Error for what Twilio would not take: 12100, 12200 and their like. */
export function parseTwiml(text: string): PlayedVerb[] {
  const root = parseXml(text);
  if (root.name !== "Response") throw new Error(`TwiML begins with <${root.name}>`);
  return root.children.map(toVerb);
}

interface Element {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: Element[];
  text: string;
}

function toVerb(element: Element): PlayedVerb {
  const { name, attributes, children, text } = element;
  switch (name) {
    case "Connect": {
      const [stream, ...others] = children;
      const isRelay = stream?.name === "ConversationRelay";
      if (stream === undefined || others.length > 0 || !(isRelay || stream.name === "Stream")) {
        throw new Error("<Connect> wants one <Stream> or <ConversationRelay>");
      }
      if (isRelay) checkRelay(stream);
      const parameters = stream.children.map((parameter) => {
        if (parameter.name !== "Parameter") throw new Error(`<Stream> holds <${parameter.name}>`);
        return [required(parameter, "name"), required(parameter, "value")];
      });
      const streamUrl = required(stream, "url");
      if (!/^wss?:\/\/[^?#]+$/.test(streamUrl)) throw new Error(`Stream url is "${streamUrl}"`);
      const actionUrl = attributes["action"];
      return {
        type: "Connect",
        actionUrl,
        streamUrl,
        parameters: Object.fromEntries(parameters),
        ...(isRelay ? { relay: stream.attributes } : {}),
      };
    }
    case "Redirect":
      return { type: "Redirect", url: text };
    case "Reject":
      return { type: "Reject", reason: attributes["reason"] ?? "rejected" };
    case "Dial": {
      const [number, ...others] = children;
      if (number?.name !== "Number" || others.length > 0) {
        throw new Error("<Dial> wants one <Number>");
      }
      if (!/^\+[1-9]\d{1,14}$/.test(number.text)) throw new Error(`Dials "${number.text}"`);
      return { type: "Dial", to: number.text, actionUrl: required(element, "action") };
    }
    case "Say":
      return { type: "Say", sentence: text, ...voiceOf(element) };
    case "Pause":
      return { type: "Pause", seconds: Number(attributes["length"] ?? "1") };
    case "Gather": {
      const [say, ...others] = children;
      if ((say !== undefined && say.name !== "Say") || others.length > 0) {
        throw new Error("<Gather> wants one <Say>, or nothing");
      }
      if (attributes["numDigits"] !== "1" || attributes["input"] !== "dtmf") {
        throw new Error("<Gather> is not of one key");
      }
      const actionUrl = required(element, "action");
      const sentence = say?.text ?? null;
      const seconds = Number(attributes["timeout"] ?? "5");
      return { type: "Gather", sentence, seconds, actionUrl, ...(say ? voiceOf(say) : {}) };
    }
    case "Hangup":
      return { type: "Hangup" };
    default:
      throw new Error(`TwiML holds <${name}>`);
  }
}

/** 64101 and its like: values that Twilio would not take. */
const RELAY_VALUES: Readonly<Record<string, RegExp>> = {
  url: /^(wss:|ws:\/\/(localhost|127\.0\.0\.1):)/, // on loopback without TLS
  language: /^[a-z]{2,3}-[A-Z]{2}$/,
  ttsProvider: /^(Google|Amazon|ElevenLabs)$/,
  voice: /./,
  transcriptionProvider: /^(Google|Deepgram)$/,
  speechModel: /./,
  hints: /./,
  interruptible: /^(none|dtmf|speech|any)$/,
  ignoreBackchannel: /^(true|false)$/,
  preemptible: /^(true|false)$/,
  partialPrompts: /^(true|false)$/,
  dtmfDetection: /^(true|false)$/,
  events: /^(speaker-events|tokens-played)( (speaker-events|tokens-played))*$/,
};

function checkRelay({ attributes }: Element): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (!RELAY_VALUES[name]?.test(value)) throw new Error(`64101: ${name}="${value}"`);
  }
}

function voiceOf({ attributes }: Element): { readonly voice?: string } {
  const voice = attributes["language"];
  return voice === undefined ? {} : { voice };
}

function required(element: Element, name: string): string {
  const value = element.attributes[name];
  if (value === undefined) throw new Error(`<${element.name}> has no ${name}`);
  return value;
}

const TOKEN =
  /<\?xml[^?]*\?>|<\/([A-Za-z]+)>|<([A-Za-z]+)((?:\s+[A-Za-z]+="[^"<]*")*)\s*(\/?)>|([^<]+)/y;

/** Elements, attributes and text: the part of XML that TwiML uses. Anything else is an error. */
function parseXml(text: string): Element {
  const top: Element = { name: "", attributes: {}, children: [], text: "" };
  const open = [top];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const at = TOKEN.lastIndex;
    const token = TOKEN.exec(text);
    const parent = open.at(-1);
    if (token === null || parent === undefined) throw new Error(`XML breaks at ${at}`);
    const [, closed, opened, attributes = "", selfClosed, characters] = token;
    if (closed !== undefined && open.pop()?.name !== closed) {
      throw new Error(`</${closed}> at ${at}`);
    }
    if (characters !== undefined) parent.text += decode(characters);
    if (opened === undefined) continue;
    const element: Element = {
      name: opened,
      attributes: Object.fromEntries(
        [...attributes.matchAll(/([A-Za-z]+)="([^"]*)"/g)]
          .map(([, name = "", value = ""]) => [name, decode(value)]),
      ),
      children: [],
      text: "",
    };
    parent.children.push(element);
    if (selfClosed === "") open.push(element);
  }
  const [root, ...others] = top.children;
  if (root === undefined || others.length > 0 || open.length !== 1) {
    throw new Error("XML has no root");
  }
  return root;
}

const ENTITIES: Readonly<Record<string, string>> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
};

function decode(text: string): string {
  return text.replace(/&([^;&]*);?/g, (whole, name) => {
    const character = ENTITIES[name];
    if (character === undefined) throw new Error(`XML has no entity ${whole}`);
    return character;
  });
}
