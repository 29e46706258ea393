/** Takes from a written word what is for the eye alone: emoji and the marks of Markdown and HTML. */

/** What is open where a clause ends: a mark may begin in one and end in the next. */
export interface Markup {
  /** Inside of `](…)`: the address of a link, or the words of its title. */
  readonly isInTarget: boolean;
}

export const noMarkup: Markup = { isInTarget: false };

/** Most words have nothing of it. */
const ANY_MARK =
  /[*_~`#|[\]<>\\•‣◦]|\p{Extended_Pictographic}|\p{Regional_Indicator}|[\u200d\ufe0f\u20e3]/u;
const EMOJI =
  /\p{Extended_Pictographic}|\p{Regional_Indicator}|[\u200d\ufe0e\ufe0f\u20e3\u{1f3fb}-\u{1f3ff}]/gu;
/** Emphasis, code and tables; an underscore only round a word, since addresses have them inside. */
const MARKS = /[*`|•‣◦]|~~|<\/?[a-z][a-z0-9]*\/?>|^_+|_+(?=[.,;:!?…)\]]*$)|\\(?=[^a-z0-9])/giu;
const BULLET = /^(?:#{1,6}|[-+>]|[-=:]{3,})$/u;

/** The word without its marks; empty where nothing is left to be said. */
export function withoutMarkup(
  word: string,
  markup: Markup,
  isFirst: boolean,
): [string, Markup] {
  let rest = word;
  let { isInTarget } = markup;
  if (isInTarget) {
    const end = rest.indexOf(")");
    if (end === -1) return ["", markup];
    rest = rest.slice(end + 1);
    isInTarget = false;
  }
  if (isFirst && BULLET.test(rest) && rest !== "+") return ["", { isInTarget }];
  if (!ANY_MARK.test(rest)) return [rest, { isInTarget }];
  for (;;) {
    const from = rest.indexOf("](");
    if (from === -1) break;
    const end = rest.indexOf(")", from);
    isInTarget = end === -1;
    rest = rest.slice(0, from) + (isInTarget ? "" : rest.slice(end + 1));
    if (isInTarget) break;
  }
  rest = rest.replace(/^!\[|[[\]]/g, "").replace(EMOJI, "").replace(MARKS, "");
  if (/^[-#=:>]+$/u.test(rest) && rest.length > 1 || rest === "#") rest = "";
  return [/^[.,;:!?\])]+$/u.test(rest) && rest !== word ? "" : rest, { isInTarget }];
}
