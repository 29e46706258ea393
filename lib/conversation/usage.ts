/** What a call has used of its providers: what it costs is for whoever knows their prices. */

/** Counts of its whole life. */
export interface CallUsage {
  readonly models: ModelTokens[];
  /**
   * Requests that were withdrawn or failed, as when a caller barges in: no model tells of them, so their tokens, in and
   * out, are reckoned at four characters each.
   */
  readonly brokenOff: { readonly requests: number; readonly tokens: number };
  /** Replies that an eager agent made in advance and dropped, by the same reckoning; their requests are among the others. */
  readonly wasted: { readonly replies: number; readonly tokens: number };
  /** Characters that were given to be spoken. Providers are named in the order in which they are asked, with `+`. */
  readonly voices: { readonly provider: string; readonly characters: number }[];
  /** Audio of the line that was given to be recognised. */
  readonly recognisers: { readonly provider: string; readonly ms: number }[];
}

/** Of requests that were answered to their end. */
export interface ModelTokens {
  /** As its provider calls it; else the provider. */
  readonly model: string;
  readonly requests: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Of these, what stands for sound. */
  readonly inputAudioTokens: number;
  readonly outputAudioTokens: number;
}

export const NO_USAGE: CallUsage = {
  models: [],
  brokenOff: { requests: 0, tokens: 0 },
  wasted: { replies: 0, tokens: 0 },
  voices: [],
  recognisers: [],
};

/** All of both. */
export function addUsage(a: CallUsage, b: CallUsage): CallUsage {
  return {
    models: joined([...a.models, ...b.models], ({ model }) => model),
    brokenOff: sum(a.brokenOff, b.brokenOff),
    wasted: sum(a.wasted, b.wasted),
    voices: joined([...a.voices, ...b.voices], ({ provider }) => provider),
    recognisers: joined([...a.recognisers, ...b.recognisers], ({ provider }) => provider),
  };
}

/** One for each name, in the order in which the names come first. */
function joined<T extends object>(items: readonly T[], nameOf: (item: T) => string): T[] {
  const byName = new Map<string, T>();
  for (const item of items) {
    const before = byName.get(nameOf(item));
    byName.set(nameOf(item), before === undefined ? item : sum(before, item));
  }
  return [...byName.values()];
}

/** Numbers are added; what is none is the same in both. */
function sum<T extends object>(a: T, b: T): T {
  const entries = Object.entries(a).map(([name, value]) => {
    const other = Object(b)[name];
    return [name, typeof value === "number" ? value + Number(other) : value];
  });
  return Object.fromEntries(entries) as T; // its own members
}
