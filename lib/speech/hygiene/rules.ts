/** What is written in figures and signs, and how each is said: the first rule that fits at a word's beginning is taken. */

import type { SpokenLanguage } from "./language.ts";

export interface Rule {
  /** Sticky; ends where a word ends, but for the punctuation behind it. */
  readonly pattern: RegExp;
  /** Null: it only looked like one. `before` is the word in front of it, in lower case. */
  say(found: RegExpExecArray, before: string): string | null;
}

const WORD_END = "(?=[)\\]}\"'”’»*_~`.,;:!?…|]*(?:\\s|$))";
/** Past it n2words has no names; what is so long is a code, and is said by its digits. */
const NUMBER_DIGITS_MAX = 15;
/** A figure of so many digits without marks between them is a number of an account, and no amount. */
const CODE_DIGITS_MIN = 7;
const CURRENCY_CODES: Readonly<Record<string, string>> = {
  "$": "USD",
  "US$": "USD",
  "€": "EUR",
  "£": "GBP",
};

export function rulesOf(language: SpokenLanguage): readonly Rule[] {
  const { decimalMark, groupMarks, signs, currencies, units, months } = language;
  const mark = `[${decimalMark}]`;
  const groups = `[${groupMarks.replace(".", "\\.")}]`;
  const figure = `(?:\\d{1,3}(?:${groups}\\d{3})+(?!\\d)(?:${mark}\\d+)?|\\d+(?:[.,]\\d+)?)`;
  const money = `(US\\$|[$€£]|${Object.keys(currencies).join("|")})`;
  const unitNames = Object.keys(units).sort((a, b) => b.length - a.length).map(RegExp.escape);

  /** `1.234,5` to `1234.5`. */
  function plain(written: string): string {
    const whole = new RegExp(`^(\\d{1,3}(?:${groups}\\d{3})+)(?:${mark}(\\d+))?$`).exec(written);
    if (whole !== null) {
      const thousands = (whole[1] ?? "").replace(/\D/g, "");
      return whole[2] === undefined ? thousands : `${thousands}.${whole[2]}`;
    }
    return written.replace(",", ".");
  }

  function cardinal(written: string): string {
    const value = plain(written);
    const isLong = value.replace(/\D/g, "").length > NUMBER_DIGITS_MAX;
    return isLong ? spell(value) : language.cardinal(value);
  }

  /** Letters as they are, digits by name, and other signs by theirs. */
  function spell(code: string): string {
    return Array.from(
      code,
      (sign) =>
        /\d/.test(sign) ? language.cardinal(sign) : /\p{L}/u.test(sign) ? sign.toUpperCase() : ",",
    )
      .join(" ").replace(/ ,[ ,]*/g, ", ").replace(/^[, ]+|[, ]+$/g, "");
  }

  function amount(written: string, symbol: string, large: string | undefined): string | null {
    const code = CURRENCY_CODES[symbol] ?? symbol;
    const names = currencies[code];
    if (names === undefined) return null;
    const [one, many, cent, cents] = names;
    const value = plain(written);
    if (large !== undefined) return `${cardinal(written)} ${large}${language.largeJoint}${many}`;
    const [whole = "0", part = ""] = value.split(".");
    if (whole.length > NUMBER_DIGITS_MAX) return null;
    const said = `${language.counting(whole)} ${BigInt(whole) === 1n ? one : many}`;
    if (part === "" || /^0+$/.test(part)) return said;
    if (part.length > 2) return `${cardinal(written)} ${many}`;
    const hundredths = String(Number(part.padEnd(2, "0")));
    const small = `${language.counting(hundredths)} ${hundredths === "1" ? cent : cents}`;
    return BigInt(whole) === 0n ? small : `${said}${language.currencyJoint}${small}`;
  }

  function date(day: string, month: string, year: string | undefined, before: string) {
    const found = { day: Number(day), month: Number(month), year: year ? Number(year) : null };
    if (found.day < 1 || found.day > 31 || found.month < 1 || found.month > 12) return null;
    if (found.year !== null && found.year < 100) found.year += 2000;
    return language.date(found, before);
  }

  function time(hour: string, minute: string): string | null {
    const [h, m] = [Number(hour), Number(minute)];
    return h > 24 || m > 59 ? null : language.time(h, m);
  }

  /** `jane.doe` in words that a voice can say. */
  function address(text: string): string {
    return text.replace(/[./@_+-]|\d+/g, (sign) => ` ${signs[sign] ?? spell(sign)} `).trim();
  }

  function rule(source: string, say: Rule["say"], flags = "uy"): Rule {
    return { pattern: new RegExp(`(?:${source})${WORD_END}`, flags), say };
  }

  const monthNames = months.join("|");
  const monthOf = (name = ""): string => String(months.indexOf(name.toLowerCase()) + 1);
  const middle = "[ ./-]?";
  const hour = language.hourMark === "" ? null : language.hourMark;
  const dated = language.dayFirst
    ? rule(
      `(\\d{1,2})(?:\\.|er)?(?: de)? (${monthNames})(?:(?: de)? (\\d{4}))?`,
      ([, day = "", name, year], before) => date(day, monthOf(name), year, before),
      "iuy",
    )
    : rule(
      `(${monthNames}) (\\d{1,2})(?:st|nd|rd|th)?(?:,? (\\d{4}))?`,
      ([, name, day = "", year], before) => date(day, monthOf(name), year, before),
      "iuy",
    );

  return [
    rule("[\\w.+-]+@[\\w-]+(?:\\.[\\w-]+)+", ([text]) => address(text)),
    // The host alone: nobody writes down a path by ear.
    rule(
      "(?:https?:\\/\\/(?:www\\.)?|www\\.)([\\w-]+(?:\\.[\\w-]+)+)(?::\\d+)?(?:[\\/?#][^\\s)]{0,300}?)?",
      ([, host = ""]) => address(host),
    ),
    rule(
      "[a-z][\\w-]*(?:\\.[\\w-]+)*\\.(?:com|org|net|io|de|fr|es|eu|co\\.uk|ai)",
      ([text]) => address(text),
      "iuy",
    ),
    dated,
    rule(
      "(\\d{4})-(\\d{2})-(\\d{2})",
      ([, year, month = "", day = ""], before) => date(day, month, year, before),
    ),
    language.dayFirst
      ? rule(
        "(\\d{1,2})[./](\\d{1,2})[./](\\d{4}|\\d{2})?",
        ([text, day = "", month = "", year], before) =>
          year === undefined && !text.endsWith(".") ? null : date(day, month, year, before),
      )
      : rule(
        "(\\d{1,2})\\/(\\d{1,2})\\/(\\d{4}|\\d{2})",
        ([, month = "", day = "", year], before) => date(day, month, year, before),
      ),
    // Phone numbers: digit by digit, with a breath where they are parted. One digit a step: nothing to go back on.
    rule(
      `\\+\\d(?:${middle}\\(?\\d\\)?)+|\\(\\d{2,5}\\)(?:${middle}\\d)+` +
        "|\\d{3}[-.]\\d{3}[-.]\\d{4}|0\\d+(?:[ /-]\\d{2,})+|\\d{3}-\\d{4}",
      ([text]) => {
        const isPhone = text.replace(/\D/g, "").length >= CODE_DIGITS_MIN;
        if (!isPhone) return null;
        return (text.startsWith("+") ? `${signs["+"]} ` : "") + spell(text);
      },
    ),
    rule(
      `${money} ?(${figure})(?: (${language.large}))?`,
      ([, symbol = "", value = "", large]) => amount(value, symbol, large),
    ),
    rule(
      `(${figure}) ?(?:(${language.large}) )?${money}`,
      ([, value = "", large, symbol = ""]) => amount(value, symbol, large),
    ),
    rule(
      `(-?)(${figure}) ?%`,
      ([, minus, value = ""]) =>
        `${minus ? "-" : ""}${cardinal(value)} ${signs["%"]}`.replace(/^-/, `${signs["-"]} `),
    ),
    ...(hour === null ? [] : [
      rule(
        `(\\d{1,2})(?::(\\d{2}))? ?${hour}(?: ?(\\d{2}))?`,
        ([, h = "", m, after]) => time(h, m ?? after ?? "0"),
      ),
    ]),
    rule("(\\d{1,2}):(\\d{2}) ?([ap])(?:m|\\.m\\.)", ([, h = "", m = "", half]) => {
      const said = m === "00" ? language.cardinal(String(Number(h))) : time(h, m);
      return said === null ? null : `${said} ${half?.toUpperCase()}M`;
    }, "iuy"),
    rule("(\\d{1,2}):(\\d{2})", ([, h = "", m = ""]) => time(h, m)),
    rule(
      language.ordinals,
      ([text, value = ""]) =>
        value.length > NUMBER_DIGITS_MAX || Number(value) === 0
          ? text
          : language.ordinal(Number(value), text),
    ),
    rule(`(-?)(${figure}) ?(${unitNames.join("|")})`, ([, minus, value = "", unit = ""]) => {
      const [one, many] = units[unit] ?? ["", ""];
      const said = value === "1"
        ? `${language.counting("1")} ${one}`
        : `${cardinal(value)} ${many}`;
      return minus ? `${language.cardinal("-1").split(" ")[0]} ${said}` : said;
    }),
    rule(
      `(${figure}) ?[-–] ?(${figure})`,
      ([, from = "", to = ""]) => `${cardinal(from)} ${language.range} ${cardinal(to)}`,
    ),
    rule("#(\\d+)", ([, value = ""]) => `${language.number} ${spokenFigure(value)}`),
    // Codes: what mixes letters and figures is spelt.
    rule("(?=[A-Z0-9-]*\\d)(?=[A-Z0-9-]*[A-Z])[A-Z0-9]+(?:-[A-Z0-9]+)*", ([text]) => spell(text)),
    rule("[1-2]\\d{3}", ([text]) => isYear(Number(text)) ? language.year(Number(text)) : null),
    rule(`(-?)(${figure})`, ([, minus, value = ""]) => {
      const said = spokenFigure(value);
      return minus ? `${language.cardinal("-1").split(" ")[0]} ${said}` : said;
    }),
    // A single sign between words.
    rule("[%&+=@€$£×]", ([text]) => signs[text] ?? null),
  ];

  function spokenFigure(value: string): string {
    const isCode = /^\d+$/.test(value) &&
      (value.length >= CODE_DIGITS_MIN || (value.length > 1 && value.startsWith("0")));
    return isCode ? spell(value) : cardinal(value);
  }
}

function isYear(value: number): boolean {
  return value >= 1100 && value < 2100;
}
