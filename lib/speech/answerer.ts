/** Who has answered a call of ours, by the first words: a person, or which kind of machine. Pure. */

import { readMenu } from "./menu.ts";
import { bare, isVoicemailGreeting } from "./voicemail.ts";

export const ANSWERERS = ["human", "voicemail", "screening", "ivr", "fax", "unknown"] as const;
export type Answerer = typeof ANSWERERS[number];

/** People who answer say less; who says more and nothing that tells a machine is not known. */
export const HUMAN_WORDS_MAX = 20;

interface Phrases {
  /** An assistant asks who calls, and why, before anybody is disturbed. */
  readonly screening: readonly string[];
  readonly ivr: readonly string[];
}

/** In lower case, without accents and punctuation. */
const PHRASES: Readonly<Record<string, Phrases>> = {
  en: {
    screening: list(
      "state your name|say your name and|record your name and reason|your name and why you|" +
        "your name and the reason|screening service|see if this person is available|" +
        "see if they are available|call screening",
    ),
    ivr: list(
      "listen carefully|menu options|following options|main menu|your call is important|" +
        "call may be recorded|call may be monitored|in a few words|enter your|using your keypad",
    ),
  },
  de: {
    screening: list("nennen sie ihren namen und|namen und den grund|ihren namen und grund"),
    ivr: list(
      "hauptmenu|folgenden optionen|anruf kann aufgezeichnet|zu schulungszwecken|" +
        "nachste freie mitarbeiter|geben sie bitte ihre|geben sie ihre",
    ),
  },
  es: {
    screening: list("diga su nombre y|indique su nombre y|nombre y el motivo"),
    ivr: list(
      "menu principal|siguientes opciones|llamada puede ser grabada|su llamada es importante|" +
        "introduzca su|ingrese su",
    ),
  },
  fr: {
    screening: list(
      "dites votre nom et|indiquez votre nom et|votre nom et la raison|nom et le motif",
    ),
    ivr: list(
      "menu principal|options suivantes|appel peut etre enregistre|appel est susceptible|" +
        "votre appel est important|saisissez votre",
    ),
  },
};

/** `text`: all that was said before the first silence. `hasBeeped`: a tone was heard as voicemails make it. `language` is BCP 47. */
export function answererOf(
  text: string,
  { language, hasBeeped }: { readonly language: string; readonly hasBeeped: boolean },
): Answerer {
  const phrases = PHRASES[language.slice(0, 2).toLowerCase()];
  const said = ` ${bare(text)} `;
  const has = (of: readonly string[] | undefined) =>
    (of ?? []).some((it) => said.includes(` ${it}`));
  if (has(phrases?.screening)) return "screening";
  const options = readMenu(text, language).length;
  if (options > 1) return "ivr"; // one of them may be to leave a message
  if (hasBeeped || isVoicemailGreeting(text, language)) return "voicemail";
  if (options === 1 || has(phrases?.ivr)) return "ivr";
  const words = said.trim() === "" ? 0 : said.trim().split(" ").length;
  return words > 0 && words <= HUMAN_WORDS_MAX ? "human" : "unknown";
}

function list(phrases: string): readonly string[] {
  return phrases.split("|");
}
