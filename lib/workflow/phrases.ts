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
