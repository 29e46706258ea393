/** Slot filling by rules: what a simulated model makes of a caller's words. Deterministic, English, and no cleverer than it needs to be. */

import type { PromptMessage, Tool } from "./llm.ts";

/** One parameter of a function, as the rules see it. */
export interface Slot {
  readonly name: string;
  readonly required: boolean;
  readonly kind: SlotKind;
  /** The question that asks for it. */
  readonly ask: string;
}

export type SlotKind =
  | { readonly type: "enum"; readonly options: readonly string[] }
  | { readonly type: "boolean" | "number" | "name" | "day" | "time" | "words" };

/** All the agent said until the caller spoke, and all the caller answered. */
export interface Exchange {
  readonly question: string;
  readonly answer: string;
}

export type SlotValue = string | number | boolean;

/** A slot is asked for so often; then something is made of the last answer. */
export const ASKS_MAX = 2;

/** The parameters of a function. A description that ends in `Ask: "…"` says how to ask. */
export function slotsOf(tool: Tool): readonly Slot[] {
  const { properties, required } = tool.parameters;
  const names = Array.isArray(required) ? required : [];
  return Object.entries(fields(properties)).map(([name, schema]) => {
    const { type, description, enum: options } = fields(schema);
    const about = typeof description === "string" ? description : name;
    const ask = /Ask: "(.+)"$/s.exec(about)?.[1] ??
      `Could you tell me ${about.charAt(0).toLowerCase()}${about.slice(1).replace(/\.$/, "")}?`;
    const kind = kindOf(type, options, `${words(name)} ${about.replace(/Ask: ".*$/s, "")}`);
    return { name, required: names.includes(name), kind, ask };
  });
}

/** The conversation as questions and answers. A question that has no answer yet is left out. */
export function exchangesOf(messages: readonly PromptMessage[]): readonly Exchange[] {
  const exchanges: Exchange[] = [];
  let question = "";
  let answer = "";
  for (const message of messages) {
    if (message.role === "caller") answer = `${answer} ${message.text}`.trim();
    if (message.role !== "agent") continue;
    if (answer !== "") {
      exchanges.push({ question, answer });
      question = "";
      answer = "";
    }
    question = `${question} ${message.text}`.trim();
  }
  return answer === "" ? exchanges : [...exchanges, { question, answer }];
}

/** How often this slot was asked for and the caller answered something. */
export function askCount(slot: Slot, exchanges: readonly Exchange[]): number {
  return exchanges.filter((exchange) => asksFor(slot, exchange.question)).length;
}

/** What the caller has said of a slot, the latest first; null when nothing fits and it can be asked again. */
export function valueOf(slot: Slot, exchanges: readonly Exchange[]): SlotValue | null {
  const latest = exchanges.toReversed();
  const asked = latest.filter((exchange) => asksFor(slot, exchange.question));
  for (const { answer } of asked) {
    const value = read(slot.kind, answer, true);
    if (value !== null) return value;
  }
  for (const { answer } of latest) {
    const value = read(slot.kind, answer, false);
    if (value !== null) return value;
  }
  return asked.length < ASKS_MAX ? null : makeDo(slot.kind, asked[0]?.answer ?? "");
}

/** True when the question holds the slot's, or was cut off by the caller some words into it. */
function asksFor(slot: Slot, question: string): boolean {
  if (question.includes(slot.ask)) return true;
  const parts = slot.ask.split(" ");
  return parts.some((_, at) => at >= 2 && question.endsWith(parts.slice(0, at).join(" ")));
}

/** `asked`: the text answers the question for this slot, so that less evidence is needed. */
function read(kind: SlotKind, text: string, asked: boolean): SlotValue | null {
  switch (kind.type) {
    case "enum":
      return kind.options.find((option) => mentions(text, option)) ?? null;
    case "boolean":
      return asked ? readBoolean(text) : null;
    case "number":
      return asked ? readNumber(text) : null;
    case "name":
      return readName(text, asked);
    case "day":
      return DAY.exec(text)?.[0].replace(/^T(?=o)|^The/, (start) => start.toLowerCase()) ?? null;
    case "time":
      return (TIME.exec(text) ?? (asked ? BARE_TIME.exec(text) : null))?.[0].toLowerCase() ?? null;
    case "words":
      return asked ? bare(text) : null;
  }
}

function makeDo(kind: SlotKind, answer: string): SlotValue {
  switch (kind.type) {
    case "enum":
      return kind.options[0] ?? "";
    case "boolean":
      return false;
    case "number":
      return 0;
    case "name":
    case "day":
    case "time":
    case "words":
      return bare(answer);
  }
}

/** True when the text holds the phrase as whole words, whatever their case. */
export function mentions(text: string, phrase: string): boolean {
  return ` ${words(text)} `.includes(` ${words(phrase)} `);
}

/** `newPatient, 3 pm!` → `new patient 3 pm`. */
function words(text: string): string {
  return text.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase()
    .replace(/[^\p{L}\p{N}']+/gu, " ").trim();
}

const YES = /\b(?:yes|yeah|yep|sure|correct|right|of course|absolutely|it is|i am|i do|i have)\b/i;
const NO = /\b(?:no|nope|not|never|\w+n't)\b/i;

function readBoolean(text: string): boolean | null {
  const yes = text.search(YES);
  const no = text.search(NO);
  if (yes < 0 && no < 0) return null;
  return no < 0 || (yes >= 0 && yes < no); // "No, it is my second" says no
}

const NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split(" ");

function readNumber(text: string): number | null {
  const digits = /-?\d+(?:\.\d+)?/.exec(text)?.[0];
  if (digits !== undefined) return Number(digits);
  const word = words(text).split(" ").find((word) => NUMBERS.includes(word));
  return word === undefined ? null : NUMBERS.indexOf(word);
}

const HOUR = `(?:${NUMBERS.slice(1).join("|")}|1[0-2]|[1-9])`;
const TIME = new RegExp(
  `\\b(?:(?:half past|quarter past|quarter to) ${HOUR}` +
    `|(?:[01]?\\d|2[0-3])[:.][0-5]\\d(?: ?[ap]\\.?m)?` +
    `|${HOUR} (?:o'clock|thirty|fifteen|forty-five)|${HOUR} ?[ap]\\.?m|noon)\\b`,
  "i",
);
const BARE_TIME = new RegExp(`\\b${HOUR}\\b|\\b(?:morning|afternoon|evening)\\b`, "i");

const WEEKDAY = "(?:mon|tues|wednes|thurs|fri|satur|sun)day";
const MONTH = "(?:january|february|march|april|may|june|july|august|september|october|november" +
  "|december)";
// What hurts "since Monday" is no wish for a Monday.
const DAY = new RegExp(
  `(?<!\\b(?:since|last|on last) )\\b(?:(?:next )?${WEEKDAY}|(?:the day after )?tomorrow|today` +
    `|${MONTH} \\d{1,2}(?:st|nd|rd|th)?|(?:the )?\\d{1,2}(?:st|nd|rd|th)?(?: of)? ${MONTH})\\b`,
  "i",
);

const NAME_WORD = "(?:(?:de|del|la|van|von|der) )*\\p{Lu}[\\p{L}'’-]*";
const INTRODUCED = new RegExp(
  `\\b(?:[Mm]y name is|[Mm]y name's|[Tt]his is|[Cc]all me|I am|I'm) ` +
    `(${NAME_WORD}(?: ${NAME_WORD}){0,3})`,
  "u",
);
const LOWER_CASE = /\bmy name(?: is|'s) ([\p{L}'’-]+(?: (?!and\b|but\b)[\p{L}'’-]+)?)/iu;
const ALONE = new RegExp(
  `^(?:It's |It is |Yes, )?(${NAME_WORD}(?: ${NAME_WORD}){0,3})[.!?]*$`,
  "u",
);

function readName(text: string, asked: boolean): string | null {
  const name = INTRODUCED.exec(text)?.[1] ?? LOWER_CASE.exec(text)?.[1] ??
    (asked ? ALONE.exec(text.trim())?.[1] : undefined);
  if (name === undefined || DAY.test(name) || readBoolean(name) !== null) return null;
  return name;
}

/** An answer without the full stop. Never empty, since an empty argument counts as none. */
function bare(text: string): string {
  return text.trim().replace(/[.!,\s]+$/, "") || "unclear";
}

function kindOf(type: unknown, options: unknown, about: string): SlotKind {
  if (Array.isArray(options)) return { type: "enum", options: options.map(String) };
  if (type === "boolean") return { type: "boolean" };
  if (type === "number" || type === "integer") return { type: "number" };
  if (mentions(about, "name")) return { type: "name" };
  if (mentions(about, "day") || mentions(about, "date")) return { type: "day" };
  if (mentions(about, "time") || mentions(about, "hour")) return { type: "time" };
  return { type: "words" };
}

function fields(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}
