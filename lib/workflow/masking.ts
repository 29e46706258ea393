/** What the model does not read of a conversation's variables: numbers that the caller keyed for a program. */

import type { Graph, Node, Variable } from "./graph.ts";
import type { Variables } from "./template.ts";

/** Names of the variables that are keyed, and masked. */
function maskedIn({ nodes }: Pick<Graph, "nodes">): ReadonlySet<string> {
  return new Set(nodes.flatMap((node) => {
    const name = node.type !== "end" && node.keypad.isMasked ? node.keypad.variable : null;
    return name === null ? [] : [name];
  }));
}

/** As the model may read them: of a masked one how long it is. */
export function shownVariables(graph: Pick<Graph, "nodes">, variables: Variables): Variables {
  const masked = maskedIn(graph);
  if (masked.size === 0) return variables;
  return Object.fromEntries(
    Object.entries(variables).map(([name, value]) =>
      masked.has(name) ? [name, `(keyed ${String(value).length} digits)`] : [name, value]
    ),
  );
}

/** Variables of the node that the model may give a value: what was keyed, and it has not read, stays as it is. */
export function askedVariables(
  graph: Pick<Graph, "nodes">,
  { variables }: Exclude<Node, { type: "end" }>,
  known: Variables,
): readonly Variable[] {
  const masked = maskedIn(graph);
  return variables.filter(({ name }) => !masked.has(name) || !Object.hasOwn(known, name));
}
