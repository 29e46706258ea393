/** Cuts a model's tokens into clauses, so that the first can be spoken while the rest is written. */

/** The first clause is flushed at a comma once it is this long; later ones wait for a sentence's end. */
export const FIRST_CLAUSE_CHARS = 12;
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

/** What is left when the model has finished: one clause or none. */
export function lastClause(clauses: Clauses): string | null {
  const clause = collapse(clauses.pending);
  return clause === "" ? null : clause;
}

/** Where the first clause of `text` ends, behind its space; 0 while it is not complete. */
function clauseEnd(text: string, begun: boolean): number {
  for (let at = 0; at < text.length; at++) {
    if (isFullStop(text.charCodeAt(at))) return at + 1;
    if (at + 1 === text.length || !isSpace(text.charCodeAt(at + 1))) continue;
    const length = at + 1;
    if (isSentenceEnd(text.charCodeAt(at))) return length + 1;
    if (!begun && length >= FIRST_CLAUSE_CHARS && isPause(text.charCodeAt(at))) return length + 1;
    if (length >= CLAUSE_MAX_CHARS) return length + 1;
  }
  return 0;
}

function isSpace(code: number): boolean {
  return code === 32 || code === 10 || code === 9 || code === 13;
}

function isSentenceEnd(code: number): boolean {
  return code === 46 || code === 33 || code === 63 || code === 58; // . ! ? :
}

/** Stops of scripts that write no space behind them. */
function isFullStop(code: number): boolean {
  return code === 0x3002 || code === 0xff01 || code === 0xff1f; // 。 ！ ？
}

function isPause(code: number): boolean {
  return code === 44 || code === 59 || code === 0x2013 || code === 0x2014; // , ; – —
}

function collapse(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}
