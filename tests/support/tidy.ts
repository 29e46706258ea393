/** What the architecture stands on, as lint rules: who may import whom, and where the outside world may be touched. */

import { dirname } from "node:path";

type Rule = Deno.lint.Rule;
type Node = Deno.lint.Node;

/** A rule that looks at one file, `path` from the top folder, and says in a sentence what is wrong. */
function rule(
  visit: (path: string, report: (node: Node, message: string) => void) => Deno.lint.LintVisitor,
): Rule {
  return {
    create: (context) =>
      visit(context.filename, (node, message) => context.report({ node, message })),
  };
}

/** The layers from the top: a file imports from its own or from one further down. Tests stand above all. */
const LAYERS = ["tests", "main.ts", "routes", "actors", "db", "lib"];

const layerOf = (path: string): string => path.split("/")[0] ?? "";
const isTest = (path: string): boolean => layerOf(path) === "tests";
const actorOf = (path: string): string | undefined => /^actors\/([^/]+)\//.exec(path)?.[1];

/** Packages that one place wraps; nobody else sees their types. */
const WRAPPED: readonly (readonly [name: string, home: string])[] = [
  ["postgres", "db/"],
  ["@electric-sql/", "db/"],
  ["openai", "lib/providers/"],
  ["@deepgram/sdk", "lib/providers/"],
  ["twilio", "lib/providers/carrier/"],
  ["@upstash/redis", "lib/limits/"],
  ["nodemailer", "lib/providers/notify/"],
  ["jose", "lib/access_tokens.ts"],
  ["hash-wasm", "lib/passwords_worker.ts"],
];

/** Why a file may not import that, or nothing. */
function importFault(path: string, target: string): string | undefined {
  if (target.startsWith("../")) return "write @/ for what is not a neighbour";
  if (target.startsWith("./")) {
    return target.lastIndexOf("/") === 1 ? undefined : "write @/ for what is not a neighbour";
  }
  if (!target.startsWith("@/")) {
    const home = WRAPPED.find(([name]) => target === name || target.startsWith(name))?.[1];
    if (home === undefined || isTest(path) || path.startsWith(home)) return undefined;
    return `"${target}" is wrapped in ${home}`;
  }
  const imported = target.slice(2);
  if (dirname(imported) === dirname(path)) return "write ./ for a neighbour";
  const [from, to] = [LAYERS.indexOf(layerOf(path)), LAYERS.indexOf(layerOf(imported))];
  if (to === -1) return `"${layerOf(imported)}" is no layer`;
  if (to < from) return "imports go down only: main, routes, actors, db, lib";
  if (layerOf(path) === "routes" && layerOf(imported) === "db") return "routes never import db";
  const runtimeOnly = actorOf(path) === "runtime" && actorOf(imported) !== "runtime";
  if (runtimeOnly && layerOf(imported) !== "lib") return "actors/runtime imports only lib";
  return undefined;
}

/** `a.b` of a name or a chain of them, however it is written; empty for anything else. */
function nameOf(node: Node): string {
  if (node.type === "Identifier") return node.name;
  if (node.type !== "MemberExpression") return "";
  const { property } = node;
  const last = !node.computed && property.type === "Identifier"
    ? property.name
    : property.type === "Literal"
    ? String(property.value)
    : "";
  return `${nameOf(node.object)}.${last}`.replace(/^globalThis\./, "");
}

/** The names are refused outside of the home, whether used, passed on or imported. */
function only(home: RegExp, names: readonly string[], message: string): Rule {
  return rule((path, report) => {
    if (home.test(path)) return {};
    const check = (node: Node, name: string) => names.includes(name) && report(node, message);
    return {
      Identifier: (node) => !isKey(node) && check(node, node.name),
      MemberExpression: (node) => check(node, nameOf(node)),
      ImportDeclaration: (node) => check(node, node.source.value),
      VariableDeclarator(node) { // const { env } = Deno
        if (node.id.type !== "ObjectPattern" || node.init === null) return;
        for (const part of node.id.properties) {
          if (part.type === "Property") check(node, `${nameOf(node.init)}.${nameOf(part.key)}`);
        }
      },
    };
  });
}

/** Whether a name only labels a part of something: `.name`, `name: value`. */
function isKey(node: Deno.lint.Identifier): boolean {
  const { parent } = node;
  if (parent.type === "MemberExpression") return !parent.computed && parent.property === node;
  if (parent.type === "Property") return !parent.shorthand && parent.key === node;
  return parent.type === "TSPropertySignature";
}

const SOCKET_EVENTS =
  /^(message|open|close|error|data|end|upgrade|connection|unexpected-response)$/;
const SOCKET_SETTERS = /^on(message|open|close|error)$/;
const LISTENERS = /^(on|once|addListener|prependListener|addEventListener)$/;
const SOCKET_DOORS = [
  ...[
    "lib/socket.ts",
    "lib/socket_server.ts",
    "lib/connections.ts",
    "lib/tunnel.ts",
    "lib/providers/socket_client.ts",
  ],
  "lib/outbound_http.ts", // an error after the answer has begun, which nobody else would hear
  ...["db/session.ts", "db/embedded.ts", "db/embedded_worker.ts"], // of the database, not of a call
  ...["lib/passwords.ts", "lib/passwords_worker.ts", "lib/providers/notify/smtp.ts"],
  "lib/watchdog_worker.ts", // one message, of the thread that it watches
  "actors/runtime/unhandled.ts", // the last door: what no other caught
];

const propertyOf = (node: Node): string =>
  node.type === "MemberExpression" ? nameOf(node).split(".").at(-1) ?? "" : "";

const isType = (specifier: Node): boolean =>
  specifier.type === "ImportSpecifier" && specifier.importKind === "type";

const rules = {
  imports: rule((path, report) => {
    function check(node: Node, target: unknown): void {
      if (typeof target !== "string") {
        return isTest(path) ? undefined : report(node, "import only what is named by a literal");
      }
      const fault = importFault(path, target);
      if (fault !== undefined) report(node, fault);
    }
    return {
      ImportDeclaration: (node) => check(node, node.source.value),
      ExportAllDeclaration: (node) => check(node, node.source.value),
      ExportNamedDeclaration: (node) => node.source && check(node, node.source.value),
      ImportExpression: (node) =>
        check(node, node.source.type === "Literal" ? node.source.value : undefined),
    };
  }),

  insides: rule((path, report) => ({
    ImportDeclaration(node) {
      const [own, other] = [actorOf(path), actorOf(node.source.value.replace(/^@\//, ""))];
      if (own === undefined || other === undefined || own === other) return;
      if (own === "runtime" || other === "runtime") return;
      if (node.importKind === "type" || node.specifiers.every(isType)) return;
      report(node, "an actor imports another's types, never its insides");
    },
  })),

  environment: only(
    /^(lib\/config\.ts$|tests\/)/,
    ["Deno.env", "process.env", "node:process"],
    "the environment is read in lib/config.ts",
  ),

  console: only(/^lib\/log\.ts$/, ["console"], "what is logged goes through lib/log.ts"),

  time: only(
    /^(lib\/clock\.ts$|(tests\/)?actors\/runtime\/|tests\/support\/manual_clock\.ts$)/,
    [
      ...["setTimeout", "setInterval", "setImmediate", "AbortSignal.timeout"],
      ...[
        "Date.now",
        "performance.now",
        "performance.timeOrigin",
        "process.hrtime",
        "Temporal.Now",
      ],
      ...["node:timers", "node:timers/promises", "node:perf_hooks"],
    ],
    "timers and clocks are in lib/clock.ts: take a Clock",
  ),

  today: rule((path, report) => {
    if (path === "lib/clock.ts" || path.startsWith("actors/runtime/")) return {};
    const message = "the wall clock is in lib/clock.ts: take a Clock";
    return {
      NewExpression: (node) =>
        nameOf(node.callee) === "Date" && node.arguments.length === 0 && report(node, message),
      CallExpression: (node) => nameOf(node.callee) === "Date" && report(node, message),
    };
  }),

  sockets: rule((path, report) => {
    if (isTest(path) || SOCKET_DOORS.includes(path)) return {};
    const message = "a socket is listened to in lib/socket.ts, behind its guard";
    return {
      AssignmentExpression: (node) =>
        SOCKET_SETTERS.test(propertyOf(node.left)) && report(node, message),
      CallExpression(node) {
        if (!LISTENERS.test(propertyOf(node.callee))) return;
        const event = node.arguments[0];
        const name = event?.type === "Literal" ? String(event.value) : "message";
        if (SOCKET_EVENTS.test(name)) report(node, message);
      },
    };
  }),

  exports: rule((path, report) => ({
    ExportDefaultDeclaration: (node) => report(node, "export by name"),
    Program(node) {
      const reExports = node.body.length > 0 &&
        node.body.every((statement) =>
          statement.type === "ExportAllDeclaration" ||
          (statement.type === "ExportNamedDeclaration" && statement.source !== null)
        );
      if (reExports && !path.endsWith("/mod.ts")) report(node, "a file holds something of its own");
    },
  })),

  enums: rule((_, report) => ({
    TSEnumDeclaration: (node) => report(node, "write a union of literals"),
    TSModuleDeclaration: (node) => report(node, "write a module"),
  })),

  name: rule((path, report) => ({
    Program(node) {
      const name = path.split("/").at(-1) ?? "";
      if (!/^[a-z][a-z0-9]*(_[a-z0-9]+)*\.ts$/.test(name)) report(node, "files are in snake_case");
      if (/^(utils?|helpers?|common|types|index)(_test)?\.ts$/.test(name)) {
        report(node, "a file is named after the one thing it holds");
      }
    },
  })),

  comments: {
    create(context) {
      const { sourceCode } = context;
      return {
        Program(node) {
          if (!/^\/\*\*(\n \*)? [^\s*]/.test(sourceCode.text)) {
            context.report({ node, message: "the first line says what the file is" });
          }
          for (const comment of sourceCode.getAllComments()) {
            const untagged = comment.value.replaceAll(/\bTODO\(#\d+\): /g, "");
            if (!/\b(TODO|FIXME|XXX|HACK)\b/.test(untagged)) continue;
            context.report({ range: comment.range, message: "write TODO(#12): with an issue" });
          }
        },
      };
    },
  },
} satisfies Record<string, Rule>;

export type RuleName = keyof typeof rules;

/** The names of all rules. */
export const RULES: readonly string[] = Object.keys(rules);

/** What is untidy in a file: `path:line rule: sentence`. */
export function untidy(path: string, source: string): string[] {
  return Deno.lint.runPlugin({ name: "tidy", rules }, path, source).map(
    ({ id, range, message }) => {
      const line = source.slice(0, range[0]).split("\n").length;
      return `${path}:${line} ${id.replace("tidy/", "")}: ${message}`;
    },
  );
}
