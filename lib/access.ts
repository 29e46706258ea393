/** Who may do what: roles of people, scopes of keys, and the principal that a credential stands for. */

/** A person's part in a tenant, from the widest. */
export const ROLES = ["owner", "admin", "builder", "agent", "viewer"] as const;
export type Role = typeof ROLES[number];

/** What an errand may need. `read` never tells a secret; `write` includes no other scope's `read`. */
export const SCOPES = [
  ...["tenant:read", "tenant:write"] as const,
  ...["members:read", "members:write"] as const,
  ...["keys:read", "keys:write"] as const,
  ...["agents:read", "agents:write"] as const,
  ...["numbers:read", "numbers:write"] as const,
  ...["calls:read", "calls:write"] as const,
  ...["credentials:read", "credentials:write"] as const,
  ...["webhooks:read", "webhooks:write"] as const,
  ...["jobs:read", "jobs:write"] as const,
  ...["audit:read", "data:erase", "data:export"] as const,
] as const;
export type Scope = typeof SCOPES[number];

/** What an operator alone may do with a tenant: no role and no key has it. */
export const OPERATE = "operate";

const VIEWER: readonly Scope[] = ["tenant:read", "agents:read", "numbers:read", "calls:read"];
const AGENT: readonly Scope[] = [...VIEWER, "members:read", "calls:write"];
const BUILDER: readonly Scope[] = [
  ...AGENT,
  ...["agents:write", "numbers:write", "webhooks:read", "webhooks:write"] as const,
  ...["jobs:read", "credentials:read"] as const,
];

/** An admin does all but what only an owner may: erase, export, and make or unmake owners. */
export const SCOPES_OF = {
  owner: SCOPES,
  admin: SCOPES.filter((scope) => !scope.startsWith("data:")),
  builder: BUILDER,
  agent: AGENT,
  viewer: VIEWER,
} as const satisfies Record<Role, readonly Scope[]>;

/** Of what an operator's visit may do: nothing that outlasts it as a key, a member or an invitation does. */
export const VISIT_SCOPES: ReadonlySet<Scope> = new Set(
  SCOPES_OF.admin.filter((scope) => scope !== "keys:write" && scope !== "members:write"),
);

export type TenantStatus = "trial" | "active" | "suspended" | "cancelled";

/** Who asks, as the gate found it: never older than a second. */
export interface Principal {
  readonly kind: "user" | "key" | "operator";
  /** `person_…` or `key_…`; of an operator their name. */
  readonly id: string;
  readonly tenantId: string;
  /** Null for a key. */
  readonly role: Role | null;
  readonly scopes: ReadonlySet<Scope | typeof OPERATE>;
  /** `session_…`; null for a key. */
  readonly sessionId: string | null;
  /** The tenant's: whatever is cached under an older one is stale. */
  readonly configVersion: number;
}

/** A person who has shown an access token, whatever tenants they are in: never older than a second. */
export interface SignedIn {
  readonly personId: string;
  readonly sessionId: string;
}

/** Whether a tenant of this status is served at all. */
export function isServed(status: TenantStatus): boolean {
  return status === "active" || status === "trial";
}
