/** What a language says for figures and signs: the part of speech hygiene that differs from one to the next. */

export interface SpokenLanguage {
  readonly decimalMark: "." | ",";
  /** What parts thousands, as the inside of a character class. */
  readonly groupMarks: string;
  /** Which part of `3/4/2026` comes first. */
  readonly dayFirst: boolean;
  /** In lower case, January first. */
  readonly months: readonly string[];
  /** A number in plain notation, as `-1234.5`. */
  cardinal(plain: string): string;
  /** `written` may show the gender: "3ª". */
  ordinal(value: number, written: string): string;
  /** Before a noun: "ein Euro", "veintiún euros". */
  counting(plain: string): string;
  year(year: number): string;
  /** `before` is the word in front of it, in lower case. */
  date(date: SpokenDate, before: string): string;
  time(hour: number, minute: number): string;
  /** Signs of their own, and the joints of addresses and ranges. */
  readonly signs: Readonly<Record<string, string>>;
  readonly range: string;
  readonly number: string;
  /** By ISO 4217: one, many, one hundredth, many hundredths. */
  readonly currencies: Readonly<Record<string, readonly [string, string, string, string]>>;
  /** Between an amount and its hundredths. */
  readonly currencyJoint: string;
  /** Of a large amount, before its unit: "deux millions d'euros". */
  readonly largeJoint: string;
  /** By what is written, its stop included. */
  readonly abbreviations: Readonly<Record<string, string>>;
  /** What is written behind a figure: one, many. */
  readonly units: Readonly<Record<string, readonly [string, string]>>;
  /** How ordinals are written: the figure is group 1. */
  readonly ordinals: string;
  /** Written behind or inside a time of day, as `Uhr` or `h`. */
  readonly hourMark: string;
  /** Large amounts by name, which stand between an amount and its currency. */
  readonly large: string;
}

export interface SpokenDate {
  readonly day: number;
  /** 1 is January. */
  readonly month: number;
  readonly year: number | null;
}
