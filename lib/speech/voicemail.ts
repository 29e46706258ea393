/** Whether first words are a voicemail's greeting: what speaks for a machine weighed against what speaks for a person. Pure. */

/** From this weight on words are a machine's. Who is wrongly taken for one is hung up on: in doubt it is a person. */
const MACHINE_MIN = 3;
/** People who answer say less. */
const LONG_WORDS = 12;
/** Whoever asks something waits for an answer: no machine that takes messages does. */
const QUESTION = -4;

/** How much it says for a machine; less than 0: for a person. */
type Sign = readonly [weight: number, said: RegExp];

interface Language {
  readonly signs: readonly Sign[];
  /** Counts for a machine where something else does: it speaks for a company or a family, which is out. */
  readonly plural: RegExp;
  /** How a question begins, of a recogniser that writes no question marks. */
  readonly question: RegExp;
}

/** Over words in lower case, without accents and punctuation. */
const LANGUAGES: Readonly<Record<string, Language>> = {
  en: {
    plural: word("we|our|us|were|weve"),
    question: word(
      "(?<!if )(?:can|could|would|will|do|did|have|are) you|(?:can|could|may|should|shall) (?:i|we)|" +
        "who is|whos|how can|what can",
    ),
    signs: [
      [8, word("(?:after|at|following|hear) the (?:tone|beep|signal)")],
      [
        4,
        word(
          "(?:reached|forwarded to|this is|welcome to) (?:\\w+ ){1,3}" +
            "(?:voice ?mail|voice message|answering machine|(?:voice )?mail ?box)|" +
            "(?:voice ?mail|mail ?box|answering machine|voice message) (?:of|for|system|service|is|has not)",
        ),
      ],
      [
        3,
        word(
          "(?<!(?:to|you|i|ill|we|well|did) (?:please |just )?)" +
            "leave (?:\\w+ ){0,4}(?:message|name|number|voice ?mail|details)|" +
            "record (?:your|a) (?:\\w+ )?message|finished recording",
        ),
      ],
      [3, word("(?:person|subscriber|customer|party|number) (?:that )?you|number dialed")],
      [2, word("you (?:may|can) (?:also )?leave|youve reached|you have reached")],
      [
        2,
        word(
          "(?:cant|cannot|unable to|not able to|not available to) (?:come to|get to|take|answer|receive)",
        ),
      ],
      [
        1,
        word(
          "not available|missed? your call|as soon as|call you back|back to you|return your call|" +
            "closed|thank you for calling|away from|at this time",
        ),
      ],
      [
        -3,
        word("(?:with|for) (?:me|my|him|her|them)|hold on|hang on|please hold|(?:one|a) moment"),
      ],
      [-3, word("i (?:was|got|heard|left|dont|saw)|put you through|speaking")],
    ],
  },
  de: {
    plural: word("wir|uns|unser\\w*"),
    question: word(
      "(?:konnen|mochten|wollen|haben|sind) sie|(?:soll|kann|darf) ich|worum|wer ist|wer spricht",
    ),
    signs: [
      [8, word("nach dem (?:\\w+ )?(?:signal\\w*|piep\\w*|ton|pfeifton|bip|beep)")],
      [
        4,
        word(
          "(?:hier|dies|das) ist (?:\\w+ ){1,2}(?:mailbox|sprachbox|anrufbeantworter)|" +
            "(?:sie haben|willkommen|verbunden mit|erreicht) (?:auf |bei )?(?:die|der|den|dem) (?:\\w+ )?" +
            "(?:mailbox|sprachbox|anrufbeantworter)|(?:mailbox|sprachbox|anrufbeantworter) (?:von|der|des|ist)",
        ),
      ],
      [3, word("hinterlassen sie|hinterlass[te]?|sprechen sie (?:\\w+ )?(?:nachricht|namen)")],
      [3, word("anruf (?:\\w+ ){0,4}(?:entgegen ?nehmen|annehmen)")],
      [
        2,
        word(
          "nicht (?:personlich )?(?:erreichbar|zu erreichen)|sie konnen (?:\\w+ ){0,3}hinterlassen",
        ),
      ],
      [2, word("teilnehmer|rufnummer|gesprachspartner|anschluss|ausserhalb unserer")],
      [
        1,
        word("zuruck ?rufen|rufe\\w* (?:\\w+ ){0,3}zuruck|spater (?:wieder|noch einmal|erneut) an"),
      ],
      [-3, word("bei mir|bei uns|bei meine\\w|fur ihn|einen moment|moment bitte|ich verbinde")],
      [-3, word("ich (?:habe|hab|bin im|bin dran)|kann ich|gehort")],
    ],
  },
  es: {
    plural: word("nosotros|nuestr\\w+|podemos|estamos|nos"),
    question: word("(?:quiere|desea|le) (?:puedo )?dejar\\w*|quien|que (?:necesita|desea)|en que"),
    signs: [
      [8, word("(?:despues del?|tras|al) (?:oir )?(?:el |la )?(?:senal|tono|bip|pitido)")],
      [
        4,
        word(
          "(?:llamado al|este es el|comunicado con el|bienvenido al) (?:\\w+ )?(?:buzon|contestador)|" +
            "buzon de voz (?:de|esta)|contestador (?:automatico )?de|fuera de cobertura",
        ),
      ],
      [
        3,
        word(
          "dej[ae](?:me|nos|n)? (?:\\w+ ){0,3}(?:mensaje|nombre|numero|recado)|" +
            "grabe (?:su|un) mensaje|(?:numero|telefono|persona|abonado) (?:al? que|que|marcado)",
        ),
      ],
      [2, word("no (?:puedo|podemos) (?:atender|contestar|responder)\\w*|(?:puede|podra) dejar")],
      [
        1,
        word(
          "(?:su|tu) llamada|no esta disponible|(?:le|te) llamare\\w*|devolvere\\w*|cerrad[oa]s?",
        ),
      ],
      [
        -3,
        word("conmigo|con mi|a mi|escuche|recibi|no tengo|llam[ea]me|un momento|le paso|digame"),
      ],
    ],
  },
  fr: {
    plural: word("nous|nos|notre"),
    question: word(
      "(?:pouvez|voulez|souhaitez) vous|vous voulez|(?:je peux|puis je)|de la part|que puis|a quel sujet",
    ),
    signs: [
      [8, word("apres le (?:\\w+ )?(?:bip|signal|top)")],
      [
        4,
        word(
          "(?:vous etes|bienvenue|ici) (?:bien )?(?:sur )?(?:le |la |l )?(?:messagerie|repondeur|boite vocale)|" +
            "(?:messagerie|repondeur|boite vocale) (?:de|du|d|est pleine)",
        ),
      ],
      [
        3,
        word(
          "laissez (?:moi |nous )?(?:\\w+ ){1,2}(?:message|nom|numero|coordonnees)|" +
            "(?:merci de|veuillez|priere de) (?:\\w+ )?laisser|ne (?:peux|pouvons|puis) pas vous repondre|" +
            "votre correspondant|(?:personne|numero) que vous",
        ),
      ],
      [2, word("vous etes bien (?:chez|sur|au|en)|vous pouvez (?:\\w+ )?laisser")],
      [
        1,
        word(
          "pas (?:disponible|joignable)|(?:vous |te )?rappeler(?:ai|ons)|fermes?|pour le moment",
        ),
      ],
      [-3, word("a (?:ma|mon)|avec moi|rappelez moi|ne quittez pas|je vous (?:le|la) passe")],
      [-3, word("j ai (?:eu|recu|entendu)|je n ai pas|avez laisse|c est vous")],
    ],
  },
};

/** `text` as the recogniser writes it; false for a language that is not known here. */
export function isVoicemailGreeting(text: string, language: string): boolean {
  const known = LANGUAGES[language.slice(0, 2).toLowerCase()];
  return known !== undefined && weightOf(text, known) >= MACHINE_MIN;
}

function weightOf(text: string, { signs, plural, question }: Language): number {
  const said = bare(text);
  const weight = signs.reduce((sum, [each, phrase]) => phrase.test(said) ? sum + each : sum, 0);
  const asks = text.includes("?") || question.test(said) ? QUESTION : 0;
  if (weight <= 0) return weight + asks;
  const isLong = said.split(" ").length >= LONG_WORDS;
  return weight + asks + (isLong ? 1 : 0) + (plural.test(said) ? 1 : 0);
}

/** In lower case, without accents and punctuation; `can't` as `cant`. */
export function bare(text: string): string {
  return text.toLowerCase().normalize("NFD").replace(/\p{M}+/gu, "").replaceAll("ß", "ss")
    .replace(/(?<=[a-z])['’](?=(?:t|s|ve|ll|re|m|d)\b)/g, "")
    .replace(/[^\p{L}\p{N}]+/gu, " ")
    .trim();
}

function word(phrases: string): RegExp {
  return new RegExp(`(?<![\\p{L}\\p{N}])(?:${phrases})(?![\\p{L}\\p{N}])`, "u");
}
