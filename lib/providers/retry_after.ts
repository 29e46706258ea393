/** When a provider that refuses may be asked again. https://www.rfc-editor.org/rfc/rfc9110#field.retry-after */

/** Seconds, from the headers of its answer; undefined where it does not say. A time is taken by its own clock. */
export function retryAfterOf(
  header: (name: string) => string | null | undefined,
): number | undefined {
  const ms = secondsOf(header("retry-after-ms")); // of OpenAI and Anthropic, finer than the standard's
  if (ms !== undefined) return ms / 1_000;
  const retryAfter = header("retry-after");
  const seconds = secondsOf(retryAfter);
  if (seconds !== undefined) return seconds;
  const from = Date.parse(header("date") ?? "");
  const until = Date.parse(retryAfter ?? "");
  if (Number.isNaN(from) || Number.isNaN(until)) return undefined;
  return Math.max(0, (until - from) / 1_000);
}

function secondsOf(text: string | null | undefined): number | undefined {
  return /^\d{1,9}(\.\d{1,9})?$/.test(text ?? "") ? Number(text) : undefined;
}
