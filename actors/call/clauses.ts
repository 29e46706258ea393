/** Cuts a model's tokens into clauses, so that the first can be spoken while the rest is written. */

/** The first clause is flushed at a comma once it is this long; later ones wait for a sentence's end. */
export const FIRST_CLAUSE_CHARS = 12;
/** A letter of Chinese or Japanese says more than one of another script. */
export const FIRST_CLAUSE_IDEOGRAPHS = 5;
/** A model that sends nothing for so long has stalled: what it has written may be said. */
export const STALL_MS = 400;
/** Less than so many words are not worth a breath of their own. */
const STALL_WORDS_MIN = 3;
/** Text without any punctuation is flushed at a space past this. */
export const CLAUSE_MAX_CHARS = 160;

export interface Clauses {
  /** Text received and not yet given out. */
  readonly pending: string;
  /** True once a clause has been given out. */
  readonly begun: boolean;
}

export const noClauses: Clauses = { pending: "", begun: false };

/**
 * Adds tokens; returns the clauses that are now complete, trimmed. A stop counts as an end only when
 * a space follows it, so that `3.50` and `e.g` stay whole until the next token tells.
 */
export function addText(clauses: Clauses, text: string): [Clauses, readonly string[]] {
  let { pending, begun } = clauses;
  pending += text;
  const complete: string[] = [];
  for (;;) {
    const end = clauseEnd(pending, begun);
    if (end === 0) return [{ pending, begun }, complete];
    const clause = collapse(pending.slice(0, end));
    pending = pending.slice(end);
    if (clause === "") continue;
    complete.push(clause);
    begun = true;
  }
}

/**
 * What of the text can be said though its clause is not complete, and what is left then; null: too little. It is cut
 * behind a word that is whole, and behind no figure: what comes next may belong to it.
 */
export function flushStalled({ pending }: Clauses): [Clauses, string] | null {
  for (let end = pending.length - 1; end >= FIRST_CLAUSE_CHARS; end--) {
    if (!isSpace(pending.charCodeAt(end))) continue; // the last word may still grow
    const clause = collapse(pending.slice(0, end));
    const words = clause.split(" ");
    if (words.length < STALL_WORDS_MIN) return null;
    const rest = pending.slice(end).trimStart();
    if (!WORD.test(words.at(-1) ?? "") || SIGN.test(rest)) continue;
    return [{ pending: rest, begun: true }, clause];
  }
  return null;
}

const WORD = /^[\p{L}'’-]{2,}[,;:]?$/u;
const SIGN = /^[%°.,]/;

/** What is left when the model has finished: one clause or none. */
export function lastClause(clauses: Clauses): string | null {
  const clause = collapse(clauses.pending);
  return clause === "" ? null : clause;
}

/** Where the first clause of `text` ends, behind its space; 0 while it is not complete. */
function clauseEnd(text: string, begun: boolean): number {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (isFullStop(code)) return at + 1;
    if (!begun && isFullPause(code) && at >= FIRST_CLAUSE_IDEOGRAPHS) return at + 1;
    if (at + 1 === text.length || !isSpace(text.charCodeAt(at + 1))) continue;
    const length = at + 1;
    if (isSentenceEnd(code) && !(code === STOP && isMidSentence(text, at))) return length + 1;
    if (!begun && length >= FIRST_CLAUSE_CHARS && isPause(code)) return length + 1;
    if (length >= CLAUSE_MAX_CHARS) return length + 1;
  }
  return 0;
}

const STOP = 46;

/** Written with a stop, in lower case, and never the last word of a sentence. */
const ABBREVIATIONS = new Set(
  [
    "dr|mr|mrs|ms|prof|st|vs|approx|appt|ave", // en
    "hr|fr|nr|bzw|ca|inkl|zzgl|evtl|ggf|tel|hl|bspw|sog", // de
    "mme|mlle|env|av|bd|tél|ex", // fr
    "sr|sra|srta|dra|ud|uds|ej|aprox|avda|núm", // es
  ].join("|").split("|"),
);
const ABBREVIATION_MAX_CHARS = 6;

/** Does the stop at `at`, which a space follows, only end an abbreviation, an initial or an ordinal? */
function isMidSentence(text: string, at: number): boolean {
  if (text.charCodeAt(at + 1) !== 32) return false; // a line ends there
  let from = at;
  while (from > 0 && isWordCode(text.charCodeAt(from - 1))) from--;
  const length = at - from;
  if (length === 0 || length > ABBREVIATION_MAX_CHARS) return false;
  if (isDigit(text.charCodeAt(from))) {
    // "5. März", or the number of a list; but "3.50." and "1984." end.
    return length <= 2 && !isJoined(text.charCodeAt(from - 1));
  }
  return length === 1 && text.charAt(from) !== "I" ||
    ABBREVIATIONS.has(text.slice(from, at).toLowerCase());
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

/** A stop or a comma inside of a figure. */
function isJoined(code: number): boolean {
  return code === STOP || code === 44;
}

/** A letter or a digit, near enough. */
function isWordCode(code: number): boolean {
  return isDigit(code) || (code >= 65 && code <= 90) || (code >= 97 && code <= 122) || code >= 0xc0;
}

function isSpace(code: number): boolean {
  return code === 32 || code === 10 || code === 9 || code === 13;
}

function isSentenceEnd(code: number): boolean {
  return code === 46 || code === 33 || code === 63 || code === 58 ||
    code === 0x2026; // . ! ? : …
}

/** Stops of scripts that write no space behind them. */
function isFullStop(code: number): boolean {
  return code === 0x3002 || code === 0xff01 || code === 0xff1f; // 。 ！ ？
}

/** Commas of scripts that write no space behind them. */
function isFullPause(code: number): boolean {
  return code === 0x3001 || code === 0xff0c; // 、 ，
}

function isPause(code: number): boolean {
  return code === 44 || code === 59 || code === 0x2013 || code === 0x2014; // , ; – —
}

function collapse(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}
