/** What callers say while the agent speaks. */

import assert from "node:assert/strict";
import { type Sense, senseIn } from "@/lib/speech/sense.ts";

const ROWS: readonly [language: string, text: string, Sense][] = [
  ["en", "Mm-hmm.", "backchannel"],
  ["en", "mhm", "backchannel"],
  ["en-GB", "Yeah, yeah.", "backchannel"],
  ["en", "Okaaay", "backchannel"],
  ["en", "Oh, I see.", "backchannel"],
  ["en", "Yes, of course, right, okay.", "backchannel"],
  ["en", "Yes, on Monday.", "words"],
  ["en", "No.", "words"],
  ["en", "Okay but when?", "words"],
  ["en", "Wait!", "stop"],
  ["en", "Hold on.", "stop"],
  ["en", "Hold on to it", "words"],
  ["de", "Ja, genau.", "backchannel"],
  ["de", "Moment mal!", "stop"],
  ["de", "Nein", "words"],
  ["fr", "D'accord.", "backchannel"],
  ["fr", "Attendez", "stop"],
  ["es", "Sí, claro", "backchannel"],
  ["es", "Espere, espere", "words"],
  ["ja", "はい", "words"],
];

Deno.test("words are judged by language, whatever their case and punctuation", () => {
  for (const [language, text, sense] of ROWS) {
    const judge = senseIn({ language, ignoresBackchannels: true, stopPhrases: [] });
    assert.equal(judge(text), sense, `${language}: ${text}`);
  }
});

Deno.test("an agent may take signs of listening as words, and have stop phrases of its own", () => {
  const judge = senseIn({
    language: "en",
    ignoresBackchannels: false,
    stopPhrases: ["Bitte Ruhe", "operator"],
  });
  assert.equal(judge("mm-hm"), "words");
  assert.equal(judge("Operator!"), "stop");
  assert.equal(judge("bitte, Ruhe"), "stop");
});
