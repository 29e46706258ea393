/**
 * Written text to text that a voice can say, clause by clause: without markup and emoji, with figures in words.
 *
 * What is said differs from what is written, and the record is of what is written. So every stretch of words
 * comes with what is said for it, and what was heard of the one tells what was heard of the other.
 */

import { german } from "./de.ts";
import { english } from "./en.ts";
import { spanish } from "./es.ts";
import { french } from "./fr.ts";
import type { SpokenLanguage } from "./language.ts";
import { type Markup, withoutMarkup } from "./markup.ts";
import { type Rule, rulesOf } from "./rules.ts";

/** Written words that are said together. Nothing is said for an emoji. */
export interface Span {
  readonly written: readonly string[];
  readonly spoken: readonly string[];
}

interface Voiced {
  readonly rules: readonly Rule[];
  readonly abbreviations: readonly Abbreviation[];
}

interface Abbreviation {
  readonly written: readonly string[];
  readonly spoken: string;
}

/** By the first part of a language tag. Of any other only markup is taken away. */
const LANGUAGES: Readonly<Record<string, Voiced>> = {
  en: voiced(english),
  de: voiced(german),
  fr: voiced(french),
  es: voiced(spanish),
};

/** Words with none of these are said as they are written. */
const FIGURE_OR_SIGN = /[\d%&+=@€$£×]|www\.|\.[a-z]{2}/iu;
const OPENING = /^["'“„«‹(¿¡]+/u;
const MONTHS =
  /^(?:january|february|march|april|may|june|july|august|september|october|november|december)$/i;

/** What a clause says, span by span: the written words of all are the words of `clause`, in order. */
export function toSpeech(
  clause: string,
  language: string,
  markup: Markup,
): [readonly Span[], Markup] {
  const written = wordsOf(clause);
  let state = markup;
  const bare = written.map((word, at) => {
    const [left, next] = withoutMarkup(word, state, at === 0);
    state = next;
    return left;
  });
  const { rules, abbreviations } = LANGUAGES[language.slice(0, 2).toLowerCase()] ?? PLAIN;
  const spans: Span[] = [];
  for (let at = 0; at < written.length;) {
    const { count, said } = sayAt(bare, at, rules, abbreviations);
    spans.push({ written: written.slice(at, at + count), spoken: wordsOf(said) });
    at += count;
  }
  return [spans, state];
}

const PLAIN: Voiced = { rules: [], abbreviations: [] };

function voiced(language: SpokenLanguage): Voiced {
  return {
    rules: rulesOf(language),
    abbreviations: Object.entries(language.abbreviations).map(([written, spoken]) => ({
      written: written.split(" "),
      spoken,
    })),
  };
}

/** How many of the words from `at` on are said together, and what is said. */
function sayAt(
  words: readonly string[],
  at: number,
  rules: readonly Rule[],
  abbreviations: readonly Abbreviation[],
): { readonly count: number; readonly said: string } {
  const word = words[at] ?? "";
  const short = abbreviations.find(({ written }) => isAt(written, words, at));
  if (short !== undefined) {
    const count = short.written.length;
    const opening = OPENING.exec(word)?.[0] ?? "";
    const last = words[at + count - 1] ?? "";
    const end = short.written.at(-1) ?? "";
    return { count, said: opening + short.spoken + last.slice(last.indexOf(end) + end.length) };
  }
  if (!FIGURE_OR_SIGN.test(word) && !MONTHS.test(word)) return { count: 1, said: word };
  // What follows is of the same stretch only as far as nothing was taken from between.
  const rest = untilGap(words, at).join(" ");
  const before = (words[at - 1] ?? "").toLowerCase();
  const opening = OPENING.exec(rest)?.[0] ?? "";
  for (
    const from of opening.includes("(") ? [opening.length - 1, opening.length] : [opening.length]
  ) {
    for (const rule of rules) {
      rule.pattern.lastIndex = from;
      const found = rule.pattern.exec(rest);
      if (found === null) continue;
      const said = rule.say(found, before);
      if (said === null) continue;
      const end = from + found[0].length;
      const space = rest.indexOf(" ", end);
      const tail = rest.slice(end, space === -1 ? undefined : space);
      const count = found[0].split(" ").length;
      return { count, said: rest.slice(0, from) + said + tail };
    }
  }
  return { count: 1, said: word };
}

/** Do these words stand there, with punctuation round them? */
function isAt(sought: readonly string[], words: readonly string[], at: number): boolean {
  return sought.every((part, i) => {
    const word = words[at + i] ?? "";
    const bare = i === 0 ? word.replace(OPENING, "") : word;
    if (i < sought.length - 1) return bare === part;
    return bare.startsWith(part) && /^[)\]"”’»,;:!?…]*$/u.test(bare.slice(part.length));
  });
}

/** Words that a rule may look at: no rule takes more. */
const REACH = 8;

function untilGap(words: readonly string[], at: number): readonly string[] {
  const near = words.slice(at, at + REACH);
  const gap = near.indexOf("");
  return gap === -1 ? near : near.slice(0, gap);
}

function wordsOf(text: string): string[] {
  return text.split(/\s+/u).filter((word) => word !== "");
}
