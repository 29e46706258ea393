/** What is kept nowhere of a call: all that is said and keyed at a sensitive node, and its digits ever after. Pure. */

import type { Graph } from "@/lib/workflow/graph.ts";
import { nodeOf } from "@/lib/workflow/graph.ts";
import type { CallEvent } from "./events.ts";

/** Stands in the record in place of what was said. */
export const WITHHELD = "(not kept)";
/** In place of a digit. */
const MASK = "•";
/** Shorter numbers are no secret: a security code has three digits. */
const SECRET_MIN = 3;
/** Numbers that are remembered of one call. */
const SECRETS_MAX = 50;
/**
 * Numbers that must not turn up again. `any`: some were given on a machine that is lost, and they stand nowhere:
 * each number may be one of them.
 */
export type Secrets = readonly string[] | "any";

/** Digits with what people and recognisers put between them. */
const DIGITS = /\d(?:[ .,-]{0,2}\d)*/g;

export function isSensitive(graph: Graph, nodeId: string): boolean {
  const node = nodeOf(graph, nodeId);
  return node.type !== "end" && node.isSensitive;
}

/** Variables that are found out at sensitive nodes. */
export function hiddenVariables(graph: Graph): ReadonlySet<string> {
  return new Set(
    graph.nodes.flatMap((node) =>
      node.type !== "end" && node.isSensitive ? node.variables.map(({ name }) => name) : []
    ),
  );
}

/** The numbers that an event of a sensitive node tells of, behind those that are known: they must not turn up later. */
export function learnSecrets(
  secrets: Secrets,
  event: CallEvent,
  hidden: ReadonlySet<string>,
): Secrets {
  if (secrets === "any") return secrets;
  const found = textsOf(event, hidden).flatMap((text) =>
    (text.match(DIGITS) ?? []).map((digits) => digits.replace(/\D/g, ""))
  ).filter((digits) => digits.length >= SECRET_MIN);
  return [...new Set([...secrets, ...found])].slice(-SECRETS_MAX);
}

function textsOf(event: CallEvent, hidden: ReadonlySet<string>): string[] {
  switch (event.type) {
    case "caller_heard":
    case "caller_said":
    case "caller_signalled":
    case "colleague_said":
      return [event.text];
    case "tool_called":
      return [event.call.arguments];
    case "workflow_moved":
      return Object.entries(event.workflow.variables)
        .flatMap(([name, value]) => hidden.has(name) ? [String(value)] : []);
    default:
      return [];
  }
}

/** The event as it may be kept. `isHere`: it is of a sensitive node. */
export function withhold(
  event: CallEvent,
  { isHere, hidden, secrets }: {
    readonly isHere: boolean;
    readonly hidden: ReadonlySet<string>;
    readonly secrets: Secrets;
  },
): CallEvent {
  const kept = (text: string): string => {
    if (isHere) return text === "" ? "" : WITHHELD;
    return masked(text, secrets);
  };
  switch (event.type) {
    case "caller_heard":
    case "caller_said":
    case "caller_signalled":
    case "colleague_said":
    case "speech_given":
      return { ...event, text: kept(event.text) };
    case "leg_lost":
      return event.unsaid === undefined ? event : { ...event, unsaid: kept(event.unsaid) };
    case "agent_said":
      return { ...event, text: kept(event.text), unheard: kept(event.unheard) };
    case "tool_called": {
      const { call, output } = event;
      const args = isHere ? "{}" : masked(call.arguments, secrets);
      return { ...event, call: { ...call, arguments: args }, output: kept(output) };
    }
    case "dtmf_pressed":
      return isHere ? { ...event, digit: MASK } : event;
    case "keys_begun":
    case "keys_sent":
      return {
        ...event,
        digits: isHere ? MASK.repeat(event.digits.length) : masked(event.digits, secrets),
      };
    case "controlled": {
      if (event.text === null) return event;
      const isKeys = isHere && event.action === "pressKeys";
      const text = isKeys ? MASK.repeat(event.text.length) : masked(event.text, secrets);
      return { ...event, text };
    }
    case "workflow_moved": {
      const { workflow } = event;
      const variables = keptVariables(workflow.variables, { hidden, secrets });
      return { ...event, workflow: { ...workflow, variables } };
    }
    default:
      return event;
  }
}

/** Whether something of it was not kept: it is not to be said. */
export function isWithheld(text: string): boolean {
  return text.includes(WITHHELD) || text.includes(MASK);
}

/** Whether an event tells that the caller gave something which it does not hold. */
export function hasWithheld(event: CallEvent): boolean {
  switch (event.type) {
    case "caller_heard":
    case "caller_said":
      return isWithheld(event.text);
    case "dtmf_pressed":
      return isWithheld(event.digit);
    case "workflow_moved":
      return Object.values(event.workflow.variables).some((value) => isWithheld(String(value)));
    default:
      return false;
  }
}

/** Whether any of these numbers stands in it, or a part of one. */
export function tellsSecret(text: string, secrets: Secrets): boolean {
  return masked(text, secrets) !== text;
}

/** Variables as they may be kept: those of sensitive nodes not at all. */
export function keptVariables<V>(
  variables: Readonly<Record<string, V>>,
  { hidden, secrets }: {
    readonly hidden: ReadonlySet<string>;
    readonly secrets: Secrets;
  },
): Readonly<Record<string, V | string>> {
  if (hidden.size === 0 && secrets.length === 0) return variables;
  return Object.fromEntries(
    Object.entries(variables).map(([name, value]) => {
      if (hidden.has(name)) return [name, WITHHELD];
      const text = String(value);
      const safe = masked(text, secrets);
      return [name, safe === text ? value : safe];
    }),
  );
}

/** Runs of digits that hold a secret, or are a part of one, without their digits. */
function masked(text: string, secrets: Secrets): string {
  if (secrets.length === 0) return text;
  return text.replace(DIGITS, (run) => {
    const digits = run.replace(/\D/g, "");
    const isSecret = digits.length >= SECRET_MIN &&
      (secrets === "any" ||
        secrets.some((secret) => digits.includes(secret) || secret.includes(digits)));
    return isSecret ? run.replace(/\d/g, MASK) : run;
  });
}
