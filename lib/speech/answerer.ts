/** Who has answered a call of ours, by the first words: a person, or which kind of machine. Pure. */

import { readMenu } from "./menu.ts";

export const ANSWERERS = ["human", "voicemail", "screening", "ivr", "unknown"] as const;
export type Answerer = typeof ANSWERERS[number];

/** People who answer say less; who says more and nothing that tells a machine is not known. */
export const HUMAN_WORDS_MAX = 20;

interface Phrases {
  /** An assistant asks who calls, and why, before anybody is disturbed. */
  readonly screening: readonly string[];
  readonly voicemail: readonly string[];
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
    voicemail: list(
      "leave a message|leave me a message|leave your message|leave your name|leave a voicemail|" +
        "after the tone|after the beep|at the tone|at the beep|voicemail|voice mail|mailbox|" +
        "answering machine|cant come to the phone|cannot come to the phone|cant take your call|" +
        "unable to take your call|not available to take your call|miss your call|missed your call",
    ),
    ivr: list(
      "listen carefully|menu options|following options|main menu|your call is important|" +
        "call may be recorded|call may be monitored|in a few words|enter your|using your keypad",
    ),
  },
  de: {
    screening: list("nennen sie ihren namen und|namen und den grund|ihren namen und grund"),
    voicemail: list(
      "nachricht hinterlassen|hinterlassen sie|hinterlass|nach dem signalton|nach dem piep|" +
        "nach dem ton|mailbox|anrufbeantworter|sprachbox|nicht erreichbar|nicht zu erreichen|" +
        "rufen sie spater wieder an|nicht personlich erreichbar",
    ),
    ivr: list(
      "hauptmenu|folgenden optionen|anruf kann aufgezeichnet|zu schulungszwecken|" +
        "nachste freie mitarbeiter|geben sie bitte ihre|geben sie ihre",
    ),
  },
  es: {
    screening: list("diga su nombre y|indique su nombre y|nombre y el motivo"),
    voicemail: list(
      "deje un mensaje|deja un mensaje|deje su mensaje|deja tu mensaje|dejar un mensaje|" +
        "despues de la senal|despues del tono|tras la senal|buzon de voz|contestador|" +
        "no puedo atender|no podemos atender|no esta disponible",
    ),
    ivr: list(
      "menu principal|siguientes opciones|llamada puede ser grabada|su llamada es importante|" +
        "introduzca su|ingrese su",
    ),
  },
  fr: {
    screening: list(
      "dites votre nom et|indiquez votre nom et|votre nom et la raison|nom et le motif",
    ),
    voicemail: list(
      "laissez un message|laissez moi un message|laisser un message|laissez votre message|" +
        "laisser votre message|apres le bip|apres le signal|messagerie|repondeur|boite vocale|" +
        "ne suis pas disponible|ne peux pas vous repondre|pas joignable",
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
  if (hasBeeped || has(phrases?.voicemail)) return "voicemail";
  if (options === 1 || has(phrases?.ivr)) return "ivr";
  const words = said.trim() === "" ? 0 : said.trim().split(" ").length;
  return words > 0 && words <= HUMAN_WORDS_MAX ? "human" : "unknown";
}

function bare(text: string): string {
  return text.toLowerCase().normalize("NFD").replace(/\p{M}+/gu, "")
    .replace(/(?<=n)['’](?=t\b)/g, "")
    .replace(/[^\p{L}\p{N}]+/gu, " ")
    .trim();
}

function list(phrases: string): readonly string[] {
  return phrases.split("|");
}
