/** Who has answered: greetings of people and machines in four languages. */

import assert from "node:assert/strict";
import { type Answerer, answererOf } from "@/lib/speech/answerer.ts";
import { FIRST_WORDS, UNSEEN_WORDS } from "@/tests/support/first_words.ts";

const ROWS: readonly (readonly [string, string, Answerer])[] = [
  ["en", "Hello?", "human"],
  ["en", "Yeah?", "human"],
  ["en", "Peter Miller speaking.", "human"],
  ["en", "Good morning, Miller and Sons, this is Anna, how can I help you today?", "human"],
  ["en", "Hi, who is calling please?", "human"],
  ["en", "Hi, you've reached Peter. I can't come to the phone right now.", "voicemail"],
  ["en", "Please leave a message after the tone.", "voicemail"],
  ["en", "The mailbox is full and cannot accept any messages.", "voicemail"],
  ["en", "Your call has been forwarded to an automated voice mail system.", "voicemail"],
  ["en", "Sorry I missed your call. Leave your name and number.", "voicemail"],
  [
    "en",
    "Hi, if you record your name and reason for calling, I'll see if this person is available.",
    "screening",
  ],
  [
    "en",
    "The person you're calling is using a screening service from Google. Go ahead.",
    "screening",
  ],
  ["en", "Please state your name and why you are calling.", "screening"],
  ["en", "For sales, press one. For support, press two.", "ivr"],
  ["en", "For sales, press 1. To leave a message, press 2.", "ivr"],
  ["en", "Please listen carefully, as our menu options have changed.", "ivr"],
  ["en", "This call may be recorded for training purposes.", "ivr"],
  ["de", "Hallo?", "human"],
  ["de", "Müller.", "human"],
  ["de", "Praxis Doktor Schmidt, guten Tag, was kann ich für Sie tun?", "human"],
  ["de", "Bitte hinterlassen Sie eine Nachricht nach dem Signalton.", "voicemail"],
  ["de", "Hier ist die Mailbox von Anna Müller.", "voicemail"],
  ["de", "Der gewünschte Gesprächspartner ist zurzeit nicht erreichbar.", "voicemail"],
  ["de", "Bitte nennen Sie Ihren Namen und den Grund Ihres Anrufs.", "screening"],
  ["de", "Für Bestellungen drücken Sie die eins, für Reklamationen drücken Sie die zwei.", "ivr"],
  ["de", "Dieser Anruf kann aufgezeichnet werden.", "ivr"],
  ["es", "¿Diga?", "human"],
  ["es", "Hola, buenos días, ¿quién es?", "human"],
  ["es", "Deje su mensaje después de la señal.", "voicemail"],
  ["es", "Ha llamado al buzón de voz de Carmen.", "voicemail"],
  ["es", "Por favor, diga su nombre y el motivo de la llamada.", "screening"],
  ["es", "Para ventas, pulse uno. Para soporte, pulse dos.", "ivr"],
  ["fr", "Allô ?", "human"],
  ["fr", "Oui, bonjour, Marie Dupont à l'appareil.", "human"],
  ["fr", "Bonjour, laissez-moi un message après le bip.", "voicemail"],
  ["fr", "Vous êtes bien sur la messagerie de Paul.", "voicemail"],
  ["fr", "Dites votre nom et la raison de votre appel.", "screening"],
  ["fr", "Pour le service client, tapez un. Pour la comptabilité, tapez deux.", "ivr"],
  ["en", "", "unknown"],
  [
    "en",
    "Well the weather has been so fine these days that we thought of going out to the lake and " +
    "having a swim there",
    "unknown",
  ],
];

for (const [language, text, expected] of ROWS) {
  Deno.test(`"${text}" is said by: ${expected}`, () => {
    assert.equal(answererOf(text, { language, hasBeeped: false }), expected);
  });
}

Deno.test("a beep makes a short greeting a voicemail's, in any language", () => {
  assert.equal(answererOf("Peter.", { language: "en", hasBeeped: true }), "voicemail");
  assert.equal(answererOf("Ciao, Marco.", { language: "it", hasBeeped: true }), "voicemail");
  assert.equal(answererOf("Pronto?", { language: "it", hasBeeped: false }), "human");
});

/** What is wrongly said of first words: people taken for a machine, voicemails taken for people. */
function errors(
  of: typeof FIRST_WORDS,
): { readonly people: string[]; readonly voicemails: string[] } {
  const by = (who: Answerer, wrong: (by: Answerer) => boolean) =>
    Object.entries(of).flatMap(([language, said]) =>
      (said as Readonly<Record<string, readonly string[]>>)[who]?.filter((text) =>
        wrong(answererOf(text, { language, hasBeeped: false }))
      ) ?? []
    );
  const isPerson = (by: Answerer) => by === "human" || by === "unknown";
  return { people: by("human", (by) => !isPerson(by)), voicemails: by("voicemail", isPerson) };
}

Deno.test("of 84 people and 61 voicemails in four languages each is told from the other", () => {
  assert.deepEqual(errors(FIRST_WORDS), { people: [], voicemails: [] });
});

Deno.test("of sentences not seen before, 2 people of 37 are taken for a voicemail, and 10 voicemails of 29 for a person", () => {
  const { people, voicemails } = errors(UNSEEN_WORDS);
  assert.deepEqual([people.length, voicemails.length], [2, 10]);
});

Deno.test("a question without its mark is a person's all the same", () => {
  for (const text of ["can you leave a message for him", "would you like to leave a message"]) {
    assert.equal(answererOf(text, { language: "en", hasBeeped: false }), "human");
  }
});
