/** Speech hygiene: what is said for figures, signs and markup, and that no written word is lost. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { toSpeech } from "@/lib/speech/hygiene/hygiene.ts";
import { noMarkup } from "@/lib/speech/hygiene/markup.ts";

function said(language: string, ...clauses: readonly string[]): string {
  let markup = noMarkup;
  return clauses.flatMap((clause) => {
    const [spans, next] = toSpeech(clause, language, markup);
    markup = next;
    return spans.flatMap((span) => span.spoken);
  }).join(" ");
}

const ROWS: readonly (readonly [language: string, written: string, spoken: string])[] = [
  ["en", "**Bold**, _soft_ and `code`.", "Bold, soft and code."],
  ["en", "# Opening hours", "Opening hours"],
  ["en", "- first", "first"],
  ["en", "| a | b |", "a b"],
  ["en", "Great 👍🏽 news 🇩🇪!", "Great news"],
  ["en", "See [our site](https://a.example/b?c=1).", "See our site."],
  ["en", "Go to https://www.example.com/a/b?c=1.", "Go to example dot com."],
  [
    "en",
    "Mail jane.doe@example.com, please.",
    "Mail jane dot doe at example dot com, please.",
  ],
  ["en", "That is $5, or $3.50.", "That is five dollars, or three dollars and fifty cents."],
  ["en", "It cost $5 million.", "It cost five million dollars."],
  ["en", "One is €1 or 1 EUR.", "One is one euro or one euro."],
  ["en", "Save 12.5%!", "Save twelve point five percent!"],
  ["en", "The 1st, 2nd and 21st.", "The first, second and twenty-first."],
  ["en", "On March 5, 2026 at 3:30 pm.", "On March fifth, twenty twenty-six at three thirty PM."],
  ["en", "At 9:00, or 9:05.", "At nine o'clock, or nine oh five."],
  ["en", "From 9-17, since 1984.", "From nine to seventeen, since nineteen eighty-four."],
  ["en", "Since 2026-03-05.", "Since March fifth, twenty twenty-six."],
  [
    "en",
    "Call (555) 123-4567.",
    "Call five five five, one two three, four five six seven.",
  ],
  ["en", "Order AB12-34X, please.", "Order A B one two, three four X, please."],
  ["en", "Account 0012345678.", "Account zero zero one two three four five six seven eight."],
  ["en", "Dr. Smith (e.g. this), #5.", "Doctor Smith (for example this), number five."],
  ["en", "-5 °C and 5 kg", "minus five degrees Celsius and five kilograms"],
  ["en", "May I help? It may be.", "May I help? It may be."],
  [
    "de",
    "Das kostet 1.234,56 €.",
    [
      "Das kostet eintausendzweihundertvierunddreißig Euro",
      "und sechsundfünfzig Cent.",
    ].join(" "),
  ],
  ["de", "1 € um 1 Uhr", "ein Euro um ein Uhr"],
  ["de", "z. B. am 5. Mai um 15:30 Uhr", "zum Beispiel am fünften Mai um fünfzehn Uhr dreißig"],
  [
    "de",
    "Der 5. Mai 1984, ca. 3,5 %.",
    "Der fünfte Mai neunzehnhundertvierundachtzig, circa drei Komma fünf Prozent.",
  ],
  ["fr", "Le 1er mars à 15h30.", "Le premier mars à quinze heures trente."],
  ["fr", "1 234,50 €", "mille deux cent trente-quatre euros et cinquante centimes"],
  ["fr", "Appelez le 06 12 34 56.", "Appelez le zéro six, un deux, trois quatre, cinq six."],
  ["es", "Son 21 € el 5 de marzo.", "Son veintiún euros el cinco de marzo."],
  ["es", "La 3ª vez, Sr. Pérez: 1,5 %.", "La tercera vez, señor Pérez: uno coma cinco por ciento."],
  ["pl", "**5 zł** 👍", "5 zł"],
];

for (const [language, written, spoken] of ROWS) {
  Deno.test(`hygiene (${language}) says "${written}" as it is spoken`, () => {
    assert.equal(said(language, written), spoken);
  });
}

Deno.test("hygiene leaves out a link's address that ends in the next clause", () => {
  assert.equal(said("en", "See [it](https://a.example", '"A title") here.'), "See it here.");
});

const piece = fc.oneof(
  fc.constantFrom(...ROWS.flatMap(([, written]) => written.split(" "))),
  fc.string({ unit: "grapheme", maxLength: 8 }),
  fc.stringMatching(/^[-+(]?[0-9.,:/ -]{1,12}[)%€$]?$/),
);

Deno.test("hygiene keeps every written word once and in order, in any text and language", () => {
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 30 }),
      fc.constantFrom("en", "en-GB", "de", "fr", "es", "ja"),
      (pieces, language) => {
        const text = pieces.join(" ");
        const written = text.split(/\s+/u).filter((word) => word !== "");
        const [spans] = toSpeech(text, language, noMarkup);
        assert.deepEqual(spans.flatMap((span) => span.written), written);
        assert.ok(spans.every(({ spoken }) => spoken.every((word) => !/\s/u.test(word))));
      },
    ),
    { numRuns: 500 },
  );
});

Deno.test("hygiene leaves no figure of a number, whatever it is", () => {
  fc.assert(
    fc.property(fc.nat(), fc.constantFrom("en", "de", "fr", "es"), (value, language) => {
      assert.doesNotMatch(said(language, `It is ${value}, or ${value}%.`), /\d/);
    }),
  );
});

Deno.test("hygiene takes no longer for a figure that never ends", () => {
  for (const long of ["1".repeat(20_000), "+1 ".repeat(5_000), "a.".repeat(10_000)]) {
    const [spans] = toSpeech(`${long}x€ ${long}`, "en", noMarkup);
    assert.ok(spans.length > 0);
  }
});
