/** What a caller's words are while the agent speaks: a sign of listening, a call to stop, or words as any other. */

export type Sense = "backchannel" | "stop" | "words";

interface Phrases {
  /** Said to show that one listens. A word that often answers a question, as a plain "no", is none. */
  readonly backchannels: readonly string[];
  /** Said to be let speak. */
  readonly stops: readonly string[];
}

/** By language, in the bare form that `bare` makes. */
const PHRASES: Readonly<Record<string, Phrases>> = {
  en: {
    backchannels: [
      ..."mhm|mm hm|mm|hm|hmm|uh huh|uh hu|aha|ah|oh|okay|ok|right|yeah|yep|yes|sure|i see".split(
        "|",
      ),
      ..."got it|alright|all right|good|great|cool|nice|fine|i understand|of course|wow".split("|"),
    ],
    stops: [
      ..."stop|wait|wait a moment|wait a minute|wait a second|hold on|hang on|one moment".split(
        "|",
      ),
      ..."one second|just a second|just a moment|excuse me|sorry|no wait|no stop|listen".split("|"),
    ],
  },
  de: {
    backchannels: [
      ..."mhm|mm hm|hm|hmm|aha|ah|ach so|oh|okay|ok|ja|genau|gut|alles klar|verstehe".split("|"),
      ..."ich verstehe|klar|stimmt|richtig|na gut|schön|super|natürlich|ja genau|ja gut".split("|"),
    ],
    stops: [
      ..."stopp|stop|halt|warte|warten sie|moment|einen moment|moment mal|augenblick".split("|"),
      ..."sekunde|eine sekunde|entschuldigung|nein warten sie|nein stopp|hören sie".split("|"),
    ],
  },
  fr: {
    backchannels: [
      ..."mhm|mm|hm|hmm|ah|oh|ok|okay|oui|ouais|d accord|je vois|bien|très bien|bon".split("|"),
      ..."exactement|bien sûr|je comprends|parfait|entendu|voilà|oui oui|ah oui".split("|"),
    ],
    stops: [
      ..."stop|arrêtez|arrête|attendez|attends|un instant|un moment|une seconde".split("|"),
      ..."une minute|pardon|excusez moi|non attendez|écoutez".split("|"),
    ],
  },
  es: {
    backchannels: [
      ..."mhm|mm|ajá|aja|ah|oh|ok|okay|vale|sí|si|claro|bien|muy bien|bueno|entiendo".split("|"),
      ..."ya|ya veo|exacto|perfecto|de acuerdo|por supuesto|sí sí|ah sí".split("|"),
    ],
    stops: [
      ..."para|pare|alto|espere|espera|un momento|un segundo|un minuto|disculpe".split("|"),
      ..."perdón|perdone|no espere|escuche|oiga".split("|"),
    ],
  },
  it: {
    backchannels:
      "mhm|mm|ah|oh|ok|okay|sì|si|certo|bene|va bene|capisco|giusto|esatto|perfetto|d accordo"
        .split(
          "|",
        ),
    stops: "stop|aspetti|aspetta|un momento|un attimo|un secondo|scusi|mi scusi|ferma|ascolti"
      .split(
        "|",
      ),
  },
  nl: {
    backchannels:
      "mhm|mm|hm|aha|ah|oh|ok|oké|okay|ja|jaja|precies|goed|prima|snap ik|begrepen|natuurlijk"
        .split(
          "|",
        ),
    stops: "stop|wacht|wacht even|momentje|een moment|een seconde|sorry|pardon|luister".split("|"),
  },
  pt: {
    backchannels:
      "mhm|mm|ah|oh|ok|okay|sim|certo|claro|bem|muito bem|entendo|entendi|exato|perfeito|está bem"
        .split("|"),
    stops: "para|pare|espere|espera|um momento|um segundo|um minuto|desculpe|escute".split("|"),
  },
};

/** Words of a sign of listening may be said twice or three times over: "yeah yeah". */
const REPEATS_MAX = 4;

export interface SenseOptions {
  /** BCP 47. In a language without phrases of ours only `stopPhrases` count. */
  readonly language: string;
  readonly ignoresBackchannels: boolean;
  /** Beside those of the language. */
  readonly stopPhrases: readonly string[];
}

/** Makes the judge of a call. It goes by the words alone: whoever speaks on says more than a sign. */
export function senseIn(options: SenseOptions): (text: string) => Sense {
  const { backchannels = [], stops = [] } =
    PHRASES[options.language.split("-")[0]?.toLowerCase() ?? ""] ?? {};
  const signs = new Set(options.ignoresBackchannels ? backchannels.map(bare) : []);
  const halts = new Set([...stops, ...options.stopPhrases].map(bare));
  return (text) => {
    const said = bare(text);
    if (halts.has(said)) return "stop";
    return isMadeOf(said.split(" "), signs, REPEATS_MAX) ? "backchannel" : "words";
  };
}

/** Whether the words are one of the phrases after the other, up to so many. */
function isMadeOf(words: readonly string[], phrases: ReadonlySet<string>, most: number): boolean {
  if (words.length === 0) return true;
  if (most === 0) return false;
  for (let count = words.length; count > 0; count--) {
    if (!phrases.has(words.slice(0, count).join(" "))) continue;
    if (isMadeOf(words.slice(count), phrases, most - 1)) return true;
  }
  return false;
}

/** Lower case, no punctuation, letters that are drawn out as they are written: "Mm-hmm!", "okaaay". */
function bare(text: string): string {
  return text.toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, " ")
    .replace(/(\p{L})\1{2,}/gu, "$1")
    .replace(/\bm+ ?h+m+\b/gu, "mhm")
    .trim();
}
