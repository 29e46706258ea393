/** The body of a webhook: under 20 kB, whatever has happened (Standard Webhooks, "Payload size"). */

const BODY_MAX = 20_000; // bytes
const FACT_MAX = 256; // of one field, when the whole is too long
const FACTS_MAX = 16_000;

export interface WebhookEvent {
  /** `event_…` */
  readonly id: string;
  /** `call.ended` */
  readonly type: string;
  readonly payload: Readonly<Record<string, unknown>>;
  readonly at: Date;
}

/** `{"type", "timestamp", "data"}`: https://www.standardwebhooks.com */
export function standardBody(event: WebhookEvent, apiUrl: string): string {
  const { type, at } = event;
  const timestamp = at.toISOString();
  return fitting(event, apiUrl, (data) => JSON.stringify({ type, timestamp, data }));
}

/** `{"data", "event", "timestamp"}`, compact, with keys sorted at every depth. */
export function hexBody(event: WebhookEvent, apiUrl: string): string {
  const timestamp = event.at.toISOString();
  return fitting(
    event,
    apiUrl,
    (data) => JSON.stringify({ data: sorted(data), event: event.type, timestamp }),
  );
}

type Data = Readonly<Record<string, unknown>>;

/** Too long a payload becomes its short fields, `isCut`, and where the whole can be read, if it can. */
function fitting(
  { payload }: WebhookEvent,
  apiUrl: string,
  write: (data: Data) => string,
): string {
  const whole = write(payload);
  if (bytesOf(whole) < BODY_MAX) return whole;
  const facts: Record<string, unknown> = {};
  let bytes = 0;
  for (const [key, value] of Object.entries(payload)) {
    const size = bytesOf(JSON.stringify([key, value]));
    if (size > FACT_MAX || bytes + size > FACTS_MAX) continue;
    facts[key] = value;
    bytes += size;
  }
  return write({ ...facts, isCut: true, url: urlOf(payload, apiUrl) });
}

/** Where the thing that the event is about is read; null when it is nothing that has an address. */
function urlOf({ callId, agentId }: Data, apiUrl: string): string | null {
  if (typeof callId === "string") return `${apiUrl}/calls/${callId}`;
  return typeof agentId === "string" ? `${apiUrl}/agents/${agentId}` : null;
}

function bytesOf(text: string): number {
  return new TextEncoder().encode(text).length;
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1);
  return Object.fromEntries(entries.map(([key, inner]) => [key, sorted(inner)]));
}
