/** `{{clip:name}}` in an agent's texts: a recorded sentence, by the name that its company gave it. */

import type { Fault, Graph } from "./graph.ts";

const MARKER = /\{\{\s*clip:([^{}]*?)\s*\}\}/g;

/** Each once, that of its ambient sound as well. */
export function clipNames(graph: Graph): string[] {
  const names = new Set<string>();
  if (graph.ambient?.clip) names.add(graph.ambient.clip);
  mapTexts(graph, (text) => {
    for (const [, name = ""] of text.matchAll(MARKER)) names.add(name);
    return text;
  });
  return [...names];
}

/** The agent with the words of its clips in their places; one that there is not leaves nothing. */
export function withClips(
  graph: Graph,
  clips: readonly { readonly name: string; readonly text: string }[],
): Graph {
  const words = new Map(clips.map(({ name, text }) => [name, text]));
  return mapTexts(
    graph,
    (text) =>
      text.includes("{{") ? text.replace(MARKER, (_, name: string) => words.get(name) ?? "") : text,
  );
}

/** Where clips are named that are not among these. */
export function clipFaults(graph: Graph, known: ReadonlySet<string>): Fault[] {
  const faults: Fault[] = [];
  const clip = graph.ambient?.clip ?? null;
  if (clip !== null && !known.has(clip)) {
    faults.push({ path: "ambient.clip", nodeId: null, message: `There is no clip "${clip}"` });
  }
  mapTexts(graph, (text, path) => {
    for (const [, name = ""] of text.matchAll(MARKER)) {
      if (known.has(name)) continue;
      const at = /^nodes\[(\d+)\]/.exec(path)?.[1];
      const nodeId = at === undefined ? null : graph.nodes[Number(at)]?.id ?? null;
      faults.push({ path, nodeId, message: `There is no clip "${name}"` });
    }
    return text;
  });
  return faults;
}

/** Every text in a graph, which is plain JSON; `path` as faults have it. */
function mapTexts<T>(value: T, change: (text: string, path: string) => string, path = ""): T {
  return mapped(value, change, path) as T; // of the same shape
}

function mapped(
  value: unknown,
  change: (text: string, path: string) => string,
  path: string,
): unknown {
  if (typeof value === "string") return change(value, path);
  if (Array.isArray(value)) return value.map((it, at) => mapped(it, change, `${path}[${at}]`));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, it]) => [
      key,
      mapped(it, change, path === "" ? key : `${path}.${key}`),
    ]),
  );
}
