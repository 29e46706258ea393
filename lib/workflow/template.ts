/** Texts with `{{variable}}` in them. */

/** What a conversation knows, by the name of its variable. */
export type Variables = Readonly<Record<string, VariableValue>>;
export type VariableValue = string | number | boolean;

const PLACEHOLDER = /\{\{\s*([a-zA-Z][a-zA-Z0-9_]*)\s*\}\}/g;

/** Fills in the variables, as plain text. One that is missing leaves nothing. A value is never a template itself. */
export function render(template: string, variables: Variables): string {
  return template.replace(
    PLACEHOLDER,
    (_, name: string) => Object.hasOwn(variables, name) ? plain(variables[name] ?? "") : "",
  );
}

/** A value on one line, without the signs that a prompt, a template or speech markup would take as its own. */
export function plain(value: VariableValue): string {
  return String(value).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ").replace(/[<>{}`]/g, "");
}
