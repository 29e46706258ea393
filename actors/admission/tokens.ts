/** The tokens of a machine: what every call takes before it starts, synchronously, and gives back once. */

/** What takes tokens; `goingOn` is a call that lives already and comes from another machine: nothing is kept from it. */
export type Work = "inbound" | "outbound" | "talk" | "goingOn";

/** Given back once, when what it was taken for has ended or never began. */
export interface Grant {
  release(): void;
}

/** Where callers wait. */
export interface InLine {
  /** So many tokens are to be left to those who come first. */
  readonly leaving: number;
  /** Of one who waits and asks again: they were counted as refused when they came. */
  readonly isAgain: boolean;
}

export interface Tokens {
  /** Null: refused. */
  take(work: Work, tenantId: string, line?: InLine): Grant | null;
  /** What a tenant has of them. */
  heldBy(tenantId: string): number;
  /** Could no caller have one, whoever's they are? */
  isFull(): boolean;
  /** Counts a refusal that was made without asking. */
  refuse(work: Work): void;
  view(): {
    readonly capacity: number;
    readonly taken: number;
    readonly keptForInbound: number;
    readonly refused: Readonly<Record<Work, number>>;
  };
}

export interface TokensOptions {
  /** Whole calls. */
  readonly capacity: number;
  /** Of each hundred, those that only callers may take. */
  readonly keptPercent: number;
  /** Monotonic milliseconds. */
  now(): number;
  /** Refuses everything of this kind for now. */
  isShed(work: Exclude<Work, "goingOn">): boolean;
}

/** A page has no carrier's leg: measured by what it costs beside a phone call. */
const WEIGHT = { inbound: 1, outbound: 1, talk: 0.5, goingOn: 1 } as const satisfies Record<
  Work,
  number
>;
/** A tenant that was refused below its share is left room for so long: its caller or its program tries again. */
export const WANTS_MS = 10_000;

const NO_LINE: InLine = { leaving: 0, isAgain: false };

export function newTokens({ capacity, keptPercent, now, isShed }: TokensOptions): Tokens {
  const kept = Math.floor(capacity * keptPercent / 100);
  const held = new Map<string, number>();
  /** Tenants that were refused below their share, and when. */
  const wanting = new Map<string, number>();
  const refused = { inbound: 0, outbound: 0, talk: 0, goingOn: 0 };
  let taken = 0;
  /** Of what is taken, by others than callers: what is kept for those is not measured by who came first. */
  let byOthers = 0;

  /** Nobody has more than this while another, who has less, was refused: else who comes first takes all. */
  function isOverShare(tenantId: string, weight: number): boolean {
    const at = now();
    for (const [who, since] of wanting) if (at - since > WANTS_MS) wanting.delete(who);
    if (wanting.size === 0 || (wanting.size === 1 && wanting.has(tenantId))) return false;
    const tenants = new Set([...held.keys(), ...wanting.keys(), tenantId]).size;
    return (held.get(tenantId) ?? 0) + weight > Math.max(capacity / tenants, weight);
  }

  function mayTake(work: Work, tenantId: string, leaving: number): boolean {
    const weight = WEIGHT[work];
    if (taken + weight > capacity) return false;
    if (work === "goingOn") return true;
    if (taken + weight + leaving > capacity) return false;
    if (work !== "inbound" && byOthers + weight > capacity - kept) return false;
    return !isOverShare(tenantId, weight);
  }

  return {
    take(work, tenantId, { leaving, isAgain } = NO_LINE) {
      const shed = work !== "goingOn" && isShed(work);
      if (shed || !mayTake(work, tenantId, leaving)) {
        if (!isAgain) refused[work]++;
        const tenants = new Set([...held.keys(), tenantId]).size;
        const isBelow = (held.get(tenantId) ?? 0) + WEIGHT[work] <= capacity / tenants;
        if (!shed && isBelow) wanting.set(tenantId, now());
        return null;
      }
      const weight = WEIGHT[work];
      const others = work === "outbound" || work === "talk" ? weight : 0;
      taken += weight;
      byOthers += others;
      held.set(tenantId, (held.get(tenantId) ?? 0) + weight);
      wanting.delete(tenantId);
      let isTaken = true;
      return {
        release() {
          if (!isTaken) return;
          isTaken = false;
          taken -= weight;
          byOthers -= others;
          const left = (held.get(tenantId) ?? 0) - weight;
          if (left > 0) held.set(tenantId, left);
          else held.delete(tenantId);
        },
      };
    },
    heldBy: (tenantId) => held.get(tenantId) ?? 0,
    isFull: () => isShed("inbound") || taken + WEIGHT.inbound > capacity,
    refuse: (work) => void refused[work]++,
    view: () => ({ capacity, taken, keptForInbound: kept, refused: { ...refused } }),
  };
}
