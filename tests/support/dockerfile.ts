/** A Dockerfile as its instructions, and what they make: so that it can be tried where there is no Docker. */

export interface Instruction {
  readonly keyword: string;
  /** All after the keyword, continued lines joined. */
  readonly rest: string;
}

/** The instructions of each stage, the last stage being the image. */
export function readStages(dockerfile: string): Instruction[][] {
  const stages: Instruction[][] = [];
  const lines = dockerfile.split("\n").filter((line) => !line.startsWith("#")).join("\n");
  for (const line of lines.replaceAll("\\\n", " ").split("\n").filter((line) => line.trim())) {
    const [, keyword = "", rest = ""] = /^(\S+)\s+(.*)$/.exec(line) ?? [];
    if (keyword === "FROM") stages.push([]);
    stages.at(-1)?.push({ keyword, rest: rest.trim() });
  }
  return stages;
}

/** The rest of the one instruction of that keyword; throws unless there is exactly one. */
export function only(stage: readonly Instruction[], keyword: string): string {
  const [first, second] = stage.filter((instruction) => instruction.keyword === keyword);
  if (first === undefined || second !== undefined) throw new Error(`Not one ${keyword} in a stage`);
  return first.rest;
}

/** The words of an exec form; throws for a shell form. */
export function execForm(rest: string): string[] {
  const words: unknown = JSON.parse(rest);
  if (Array.isArray(words)) return words.map(String);
  throw new Error(`Not an exec form: ${rest}`);
}

/** The values that a command line gives one flag, as in `--flag=a,b`. */
export function flagValues(words: readonly string[], flag: string): string[] {
  const given = words.filter((word) => word.startsWith(`${flag}=`));
  return given.flatMap((word) => word.slice(flag.length + 1).split(","));
}
