/** What a word of spoken text is: what white space separates. */

export function wordsOf(text: string): string[] {
  return text.split(/\s+/u).filter((word) => word !== "");
}
