/** Sentences of the house, by language, for agents that bring none of their own. */

const FILLERS: Readonly<Record<string, readonly string[]>> = {
  en: ["One moment, please.", "I am still on it, one more moment."],
  de: ["Einen Moment, bitte.", "Ich bin noch dran, einen Moment noch."],
  fr: ["Un instant, s'il vous plaît.", "Je suis toujours dessus, encore un instant."],
  es: ["Un momento, por favor.", "Sigo en ello, un momento más."],
  it: ["Un momento, per favore.", "Ci sto ancora lavorando, ancora un momento."],
  nl: ["Een moment, alstublieft.", "Ik ben nog bezig, nog een moment."],
  pt: ["Um momento, por favor.", "Ainda estou a tratar disso, só mais um momento."],
};

const UNHEARD: Readonly<Record<string, readonly string[]>> = {
  en: [
    "Sorry, I did not hear that. One moment, please.",
    "I am sorry, I could not hear you. Could you say that again, please?",
  ],
  de: [
    "Entschuldigung, das habe ich nicht gehört. Einen Moment, bitte.",
    "Es tut mir leid, ich konnte Sie nicht hören. Könnten Sie das bitte wiederholen?",
  ],
  fr: [
    "Pardon, je n'ai pas entendu. Un instant, s'il vous plaît.",
    "Je suis désolé, je ne vous ai pas entendu. Pourriez-vous répéter, s'il vous plaît ?",
  ],
  es: [
    "Perdone, no le he oído. Un momento, por favor.",
    "Lo siento, no he podido oírle. ¿Podría repetirlo, por favor?",
  ],
  it: [
    "Scusi, non ho sentito. Un momento, per favore.",
    "Mi dispiace, non sono riuscito a sentirla. Può ripetere, per favore?",
  ],
  nl: [
    "Sorry, dat heb ik niet gehoord. Een moment, alstublieft.",
    "Het spijt me, ik kon u niet horen. Kunt u dat herhalen, alstublieft?",
  ],
  pt: [
    "Desculpe, não ouvi. Um momento, por favor.",
    "Lamento, não consegui ouvir. Pode repetir, por favor?",
  ],
};

const REPEAT: Readonly<Record<string, string>> = {
  en: "Sorry, I lost you for a moment. Could you say that again, please?",
  de: "Entschuldigung, die Verbindung war kurz weg. Könnten Sie das bitte wiederholen?",
  fr: "Pardon, la ligne a été coupée un instant. Pourriez-vous répéter, s'il vous plaît ?",
  es: "Perdone, se ha cortado un momento. ¿Podría repetirlo, por favor?",
  it: "Scusi, la linea è caduta per un momento. Può ripetere, per favore?",
  nl: "Sorry, de verbinding was even weg. Kunt u dat herhalen, alstublieft?",
  pt: "Desculpe, a ligação caiu por um momento. Pode repetir, por favor?",
};

/** What a caller who waits for a line is told, in the carrier's own voice. */
export interface LineSentences {
  /** The voice that says them, BCP 47 with its region, as carriers name voices; null: the carrier's own, which is English. */
  readonly voice: string | null;
  readonly next: string;
  /** `position` is 2 or more. */
  place(position: number): string;
  /** Said behind the place. */
  readonly callBackOffered: string;
  readonly callBackWanted: string;
  /** No line came free for so long. */
  readonly busy: string;
}

const ENGLISH_LINE: LineSentences = {
  voice: null,
  next: "All our lines are busy. You are next in line. Please hold.",
  place: (position) => `All our lines are busy. You are number ${position} in line. Please hold.`,
  callBackOffered: "Or press 1, and we call you back.",
  callBackWanted: "We will call you back as soon as a line is free. Goodbye.",
  busy: "Sorry, all our lines are busy. Please call again later.",
};

const LINE: Readonly<Record<string, LineSentences>> = {
  en: ENGLISH_LINE,
  de: {
    voice: "de-DE",
    next: "Alle Leitungen sind belegt. Sie sind als Nächstes an der Reihe. Bitte warten Sie.",
    place: (position) =>
      `Alle Leitungen sind belegt. Sie sind Nummer ${position} in der Warteschlange. Bitte warten Sie.`,
    callBackOffered: "Oder drücken Sie die 1, und wir rufen Sie zurück.",
    callBackWanted: "Wir rufen Sie zurück, sobald eine Leitung frei ist. Auf Wiederhören.",
    busy: "Leider sind alle Leitungen belegt. Bitte rufen Sie später noch einmal an.",
  },
  fr: {
    voice: "fr-FR",
    next: "Toutes nos lignes sont occupées. Vous êtes le prochain appel. Veuillez patienter.",
    place: (position) =>
      `Toutes nos lignes sont occupées. Vous êtes en position ${position} dans la file. Veuillez patienter.`,
    callBackOffered: "Ou appuyez sur la touche 1, et nous vous rappelons.",
    callBackWanted: "Nous vous rappellerons dès qu'une ligne sera libre. Au revoir.",
    busy: "Désolé, toutes nos lignes sont occupées. Veuillez rappeler plus tard.",
  },
  es: {
    voice: "es-ES",
    next: "Todas nuestras líneas están ocupadas. Es usted el siguiente. Espere, por favor.",
    place: (position) =>
      `Todas nuestras líneas están ocupadas. Es usted el número ${position} en la cola. Espere, por favor.`,
    callBackOffered: "O pulse 1 y le llamamos.",
    callBackWanted: "Le llamaremos en cuanto haya una línea libre. Adiós.",
    busy: "Lo sentimos, todas nuestras líneas están ocupadas. Llame más tarde, por favor.",
  },
  it: {
    voice: "it-IT",
    next:
      "Tutte le nostre linee sono occupate. La sua chiamata è la prossima. Attenda, per favore.",
    place: (position) =>
      `Tutte le nostre linee sono occupate. È il numero ${position} in attesa. Attenda, per favore.`,
    callBackOffered: "Oppure prema 1 e la richiameremo.",
    callBackWanted: "La richiameremo appena una linea sarà libera. Arrivederci.",
    busy: "Ci dispiace, tutte le nostre linee sono occupate. Richiami più tardi, per favore.",
  },
  nl: {
    voice: "nl-NL",
    next: "Al onze lijnen zijn bezet. U bent als volgende aan de beurt. Blijf aan de lijn.",
    place: (position) =>
      `Al onze lijnen zijn bezet. U bent nummer ${position} in de wachtrij. Blijf aan de lijn.`,
    callBackOffered: "Of druk op 1, dan bellen wij u terug.",
    callBackWanted: "We bellen u terug zodra er een lijn vrij is. Tot ziens.",
    busy: "Sorry, al onze lijnen zijn bezet. Bel later nog eens, alstublieft.",
  },
  pt: {
    voice: "pt-PT",
    next: "Todas as nossas linhas estão ocupadas. A sua chamada é a próxima. Aguarde, por favor.",
    place: (position) =>
      `Todas as nossas linhas estão ocupadas. É o número ${position} na fila. Aguarde, por favor.`,
    callBackOffered: "Ou prima 1 e nós ligamos de volta.",
    callBackWanted: "Ligaremos de volta assim que uma linha ficar livre. Adeus.",
    busy: "Lamentamos, todas as nossas linhas estão ocupadas. Ligue mais tarde, por favor.",
  },
};

/** English in a language that the house does not speak: who waits must be told. */
export function lineOf(language: string): LineSentences {
  return LINE[language.split("-")[0]?.toLowerCase() ?? ""] ?? ENGLISH_LINE;
}

/** What to say to a caller whose words were lost with the line; null in a language that the house does not speak. */
export function repeatOf(language: string): string | null {
  return REPEAT[language.split("-")[0]?.toLowerCase() ?? ""] ?? null;
}

/** What to say to a caller whose words are not recognised now: first that, then the other. None as for fillers. */
export function unheardOf(language: string): readonly string[] {
  return UNHEARD[language.split("-")[0]?.toLowerCase() ?? ""] ?? [];
}

/** What to say while a reply takes long; none in a language that the house does not speak. `language` is BCP 47. */
export function fillersOf(language: string): readonly string[] {
  return FILLERS[language.split("-")[0]?.toLowerCase() ?? ""] ?? [];
}
